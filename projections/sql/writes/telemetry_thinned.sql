-- The traces that have spans with a smaller number than that of `forgetting`.
CREATE OR REPLACE TEMP TABLE thinned AS
SELECT DISTINCT trace_id
FROM (
    SELECT
        trace_id,
        number
    FROM now.spans_recent
    UNION ALL
    SELECT
        trace_id,
        number
    FROM now.spans_stored
)
WHERE number < (SELECT number FROM forgetting);
