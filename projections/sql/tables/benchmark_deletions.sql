-- One row per benchmark that was unregistered: by whom and when. Nothing of its content is kept.
CREATE TABLE now.benchmark_deletions (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    benchmark_id VARCHAR NOT NULL,
    actor VARCHAR,
    trace_id VARCHAR
);
