-- The whole epochs of training jobs. An epoch whose checkpoint was lost in a crash comes again; the later row is valid.
-- Times are UTC.
CREATE TABLE now.trainjob_epochs (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    job_uuid VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    last_step BIGINT NOT NULL,
    train_loss DOUBLE NOT NULL,
    validation_loss DOUBLE,
    perplexity DOUBLE,
    metrics JSON
);
