-- Writes the spans of the file `old` to another one, without the content that `erased` has found in them.
CREATE TABLE sealed.spans AS
SELECT
    s.* REPLACE (
        CASE
            WHEN e.number IS NULL THEN s.size
            ELSE greatest(0, s.size - (strlen(s.attributes) - strlen(e.attributes)))
        END AS size,
        coalesce(e.attributes, s.attributes) AS attributes
    )
FROM old.spans AS s
LEFT JOIN erased AS e ON s.number = e.number
ORDER BY s.trace_id, s.start_ns;

CREATE TABLE sealed.span_pairs AS
SELECT p.*
FROM old.span_pairs AS p
ANTI JOIN (SELECT number, unnest(pairs) AS pair FROM erased) AS e ON p.number = e.number AND p.pair = e.pair
ORDER BY p.pair, p.start_ns;
