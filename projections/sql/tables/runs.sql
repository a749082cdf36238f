-- The sealed files of old spans, `sealed/<file>.duckdb`, each with the tables `spans` and `span_pairs`. A file that is not
-- here is a leftover of a crash, and is removed.
--   first_number  the least number of its spans; no other file has spans between it and last_number
--   first_ns      the least start of its spans, or an earlier time
--   spans         how many spans were written to the file
--   is_cut        whether the file still has rows with smaller numbers than first_number, which were removed
CREATE TABLE now.runs (
    file BIGINT NOT NULL,
    first_number BIGINT NOT NULL,
    last_number BIGINT NOT NULL,
    first_ns BIGINT NOT NULL,
    last_ns BIGINT NOT NULL,
    spans BIGINT NOT NULL,
    is_cut BOOLEAN NOT NULL
);
