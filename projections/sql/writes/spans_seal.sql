-- Writes the spans of `sealing`, which holds the first and the last number of a chunk, from `spans_recent` to a sealed
-- file, sorted by trace, with their pairs.
CREATE TABLE sealed.spans AS
SELECT * EXCLUDE (pairs)
FROM now.spans_recent
WHERE number BETWEEN (SELECT first FROM sealing) AND (SELECT last FROM sealing)
ORDER BY trace_id, start_ns;

CREATE TABLE sealed.span_pairs AS
SELECT
    pair,
    start_ns,
    number
FROM (
    SELECT
        unnest(pairs) AS pair,
        start_ns,
        number
    FROM now.spans_recent
    WHERE number BETWEEN (SELECT first FROM sealing) AND (SELECT last FROM sealing)
)
ORDER BY pair, start_ns;
