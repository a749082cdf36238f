-- All that happened to evaluation jobs but their rows, one row per event, in the order of the log. Times are UTC.
--   job_id    the number of the job within its benchmark; of rows that came with a request an id of its own
--   change    scheduled, started, cancel_requested, completed, failed, cancelled
--   event     the recorded event itself
CREATE TABLE now.evaljob_changes (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    benchmark_id VARCHAR NOT NULL,
    job_id VARCHAR NOT NULL,
    change VARCHAR NOT NULL,
    actor VARCHAR,
    trace_id VARCHAR,
    event JSON NOT NULL
);
