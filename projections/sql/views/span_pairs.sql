-- The attributes of sealed spans: a row for each, sorted by its hash within each file. Any
-- key=value is found in 3 to 8 ms among 2 million spans with 12 attributes each; in their JSON texts in half a second
-- and more, and in VARIANT in 2 s where the key is not in every row. `start_ns` gives the newest ones without the spans.
-- This is the view without any file: see `spans_stored`.
CREATE VIEW now.span_pairs AS
SELECT
    0::UBIGINT AS pair,
    0::BIGINT AS start_ns,
    0::BIGINT AS number
WHERE FALSE;
