-- All that happened to training jobs but their steps, epochs and checkpoints, one row per event. Times are UTC.
--   change    scheduled, started, prepared, cancel_requested, completed, failed, cancelled
--   event     the recorded event itself
CREATE TABLE now.trainjob_changes (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    job_uuid VARCHAR NOT NULL,
    change VARCHAR NOT NULL,
    actor VARCHAR,
    trace_id VARCHAR,
    event JSON NOT NULL
);
