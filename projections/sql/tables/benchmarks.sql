-- One row per benchmark that exists. Times are UTC.
--   event    how it was registered
CREATE TABLE now.benchmarks (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    benchmark_id VARCHAR NOT NULL,
    dataset_id VARCHAR NOT NULL,
    scoring_functions VARCHAR[] NOT NULL,
    actor VARCHAR,
    trace_id VARCHAR,
    event JSON NOT NULL
);
