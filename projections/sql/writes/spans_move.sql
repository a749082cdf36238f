-- Moves the spans of `moving`, which holds the first and the last number of a chunk, from `spans_recent` to where old
-- ones are, sorted by trace, with their pairs.
INSERT INTO now.spans_stored BY NAME
SELECT * EXCLUDE (pairs)
FROM now.spans_recent
WHERE number BETWEEN (SELECT first FROM moving) AND (SELECT last FROM moving)
ORDER BY trace_id, start_ns;

INSERT INTO now.span_pairs
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
    WHERE number BETWEEN (SELECT first FROM moving) AND (SELECT last FROM moving)
)
ORDER BY pair, start_ns;

DELETE FROM now.spans_recent
WHERE number BETWEEN (SELECT first FROM moving) AND (SELECT last FROM moving);
