-- One row per evaluated row of an evaluation job, in the order in which they were done. Times are UTC.
--   job_id         the number of the job within its benchmark; of rows that came with a request an id of its own
--   row_number     from 0, as in the dataset
--   input_digest   the start of the SHA-256 of the row's text
--   generation     what was answered, {generated_answer} or {generated_answer, error}
--   scores         a score row of each scoring function, by its name
--   failed         no answer, or none that could be scored; the error says why
CREATE TABLE now.evaljob_rows (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    benchmark_id VARCHAR NOT NULL,
    job_id VARCHAR NOT NULL,
    row_number BIGINT NOT NULL,
    input_digest VARCHAR NOT NULL,
    generation JSON NOT NULL,
    scores JSON NOT NULL,
    failed BOOLEAN NOT NULL,
    error_status INTEGER,
    error_detail VARCHAR,
    attempts INTEGER NOT NULL,
    duration_ms BIGINT NOT NULL,
    input_tokens BIGINT,
    output_tokens BIGINT,
    session_id VARCHAR,
    turn_id VARCHAR
);
