-- The first and the last number of spans, and how many there are.
SELECT
    min(number),
    max(number),
    count(*)
FROM (
    SELECT number FROM now.spans_recent
    UNION ALL
    SELECT number FROM now.spans_stored
);
