-- Takes content attributes out of the spans in `captured`. `erasing` has one row of regular expressions: `attribute`
-- matches one of them as JSON text, `later` with the comma before it, `first` at the beginning of the object.
CREATE OR REPLACE TEMP TABLE erased AS
SELECT
    s.number,
    regexp_replace(regexp_replace(s.attributes, e.later, '', 'g'), e.first, '{') AS attributes,
    list_transform(
        regexp_extract_all(s.attributes, e.attribute),
        lambda attribute: hash(attribute)
    ) AS pairs
FROM (
    SELECT number, attributes FROM now.spans_recent
    WHERE number IN (SELECT number FROM captured)
    UNION ALL
    SELECT number, attributes FROM now.spans_stored
    WHERE number IN (SELECT number FROM captured)
) AS s
CROSS JOIN erasing AS e;

UPDATE now.spans_recent AS s
SET
    size = greatest(0, s.size - (strlen(s.attributes) - strlen(e.attributes))),
    attributes = e.attributes,
    pairs = list_filter(s.pairs, lambda pair: NOT list_contains(e.pairs, pair))
FROM erased AS e
WHERE s.number = e.number;

UPDATE now.spans_stored AS s
SET
    size = greatest(0, s.size - (strlen(s.attributes) - strlen(e.attributes))),
    attributes = e.attributes
FROM erased AS e
WHERE s.number = e.number;

DELETE FROM now.span_pairs
USING (SELECT number, unnest(pairs) AS pair FROM erased) AS e
WHERE span_pairs.number = e.number AND span_pairs.pair = e.pair;

DROP TABLE erased;
