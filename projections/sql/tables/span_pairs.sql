-- The attributes of stored spans: a row for each, sorted by its hash within each chunk. Any
-- key=value is found in 3 to 8 ms among 2 million spans with 12 attributes each; in their JSON texts in half a second
-- and more, and in VARIANT in 2 s where the key is not in every row. `start_ns` gives the newest ones without the spans.
CREATE TABLE now.span_pairs (
    pair UBIGINT NOT NULL,
    start_ns BIGINT NOT NULL,
    number BIGINT NOT NULL
);
