-- Spans that have been moved from `spans_recent` to sealed files: sorted by trace within each, so that the spans of one
-- trace lie together and are found by the limits that each row group knows (1.5 to 3 ms among 2 million). Columns are
-- those of `spans_recent`, without `pairs`. This is the view without any file; `projections/sealed_spans.py` makes it of
-- the files in `runs`.
CREATE VIEW now.spans_stored AS
SELECT * EXCLUDE (pairs)
FROM now.spans_recent
WHERE FALSE;
