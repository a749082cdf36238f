-- The steps of training jobs, one row per recorded batch: the lists have one value per step, from `first_step` on. A job
-- that is taken up after a crash repeats steps; the later row is valid. Times are UTC.
CREATE TABLE now.trainjob_steps (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    job_uuid VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    first_step BIGINT NOT NULL,
    losses DOUBLE[] NOT NULL,
    learning_rates DOUBLE[] NOT NULL,
    tokens BIGINT[] NOT NULL,
    ms DOUBLE[] NOT NULL
);
