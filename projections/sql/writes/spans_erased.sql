-- Makes `erased`: the spans in `captured` without content attributes, and the hashes of these. `erasing` has one row of regular expressions: `attribute`
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
