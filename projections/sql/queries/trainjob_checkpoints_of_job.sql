-- identifier, microseconds, epoch, path, train_loss, validation_loss, perplexity: the checkpoints of a job, by epoch. An
-- epoch that was saved twice is shown once, as it is now.
SELECT
    c.identifier,
    epoch_us(c.recorded_at),
    c.epoch,
    c.path,
    e.train_loss,
    e.validation_loss,
    e.perplexity
FROM (
    SELECT *
    FROM now.trainjob_checkpoints
    WHERE job_uuid = $job_uuid AND position <= $as_of
    QUALIFY row_number() OVER (PARTITION BY epoch ORDER BY position DESC) = 1
) AS c
LEFT JOIN (
    SELECT *
    FROM now.trainjob_epochs
    WHERE job_uuid = $job_uuid AND position <= $as_of
    QUALIFY row_number() OVER (PARTITION BY epoch ORDER BY position DESC) = 1
) AS e
    ON c.epoch = e.epoch
ORDER BY c.epoch;
