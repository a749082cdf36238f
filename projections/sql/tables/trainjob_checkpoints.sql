-- The checkpoints of training jobs, in the order of the log. Times are UTC.
--   identifier   its name as a model
--   kind         full, adapter, quantized
CREATE TABLE now.trainjob_checkpoints (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    job_uuid VARCHAR NOT NULL,
    identifier VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    step BIGINT NOT NULL,
    path VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    bytes BIGINT NOT NULL
);
