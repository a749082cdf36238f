-- Takes the content attributes of `erased` out of recent spans.
UPDATE now.spans_recent AS s
SET
    size = greatest(0, s.size - (strlen(s.attributes) - strlen(e.attributes))),
    attributes = e.attributes,
    pairs = list_filter(s.pairs, lambda pair: NOT list_contains(e.pairs, pair))
FROM erased AS e
WHERE s.number = e.number;
