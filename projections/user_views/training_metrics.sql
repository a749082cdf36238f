-- One row per step of a training job. A step that was repeated after a crash is shown once, as it was done last.
--   job_uuid | VARCHAR | | Id of the job.
--   epoch | BIGINT | | Epoch of the step, from 1.
--   step | BIGINT | | Number of the step in the job, from 1: an update of the weights.
--   loss | DOUBLE | | Mean loss of the step's batches.
--   learning_rate | DOUBLE | | Learning rate of the step.
--   token_count | BIGINT | tokens | Positions that were trained, without padding.
--   duration_ms | DOUBLE | ms | Duration of the step.
--   epoch_train_loss | DOUBLE | | Mean loss of the step's epoch, repeated for each step; NULL before its end.
--   epoch_validation_loss | DOUBLE | | Loss on the validation rows after that epoch; NULL without validation rows.
--   epoch_perplexity | DOUBLE | | Exponential of the validation loss.
--   recorded_at | TIMESTAMP | UTC | When the step was recorded.

SELECT
    s.job_uuid AS job_uuid,
    s.epoch AS epoch,
    s.step AS step,
    s.loss AS loss,
    s.learning_rate AS learning_rate,
    s.token_count AS token_count,
    s.duration_ms AS duration_ms,
    e.train_loss AS epoch_train_loss,
    e.validation_loss AS epoch_validation_loss,
    e.perplexity AS epoch_perplexity,
    s.recorded_at AS recorded_at
FROM (
    SELECT
        position,
        recorded_at,
        job_uuid,
        epoch,
        first_step + unnest(range(len(losses))) AS step,
        unnest(losses) AS loss,
        unnest(learning_rates) AS learning_rate,
        unnest(tokens) AS token_count,
        unnest(ms) AS duration_ms
    FROM views.trainjob_steps
) AS s
LEFT JOIN (
    SELECT *
    FROM views.trainjob_epochs
    QUALIFY row_number() OVER (PARTITION BY job_uuid, epoch ORDER BY position DESC) = 1
) AS e
    ON s.job_uuid = e.job_uuid AND s.epoch = e.epoch
QUALIFY row_number() OVER (PARTITION BY s.job_uuid, s.step ORDER BY s.position DESC) = 1;
