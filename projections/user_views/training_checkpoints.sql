-- One row per checkpoint of a training job: the model after an epoch.
--   identifier | VARCHAR | | Name of the checkpoint as a model.
--   job_uuid | VARCHAR | | Job that saved it.
--   epoch | BIGINT | | Epoch after which it was saved, from 1.
--   step | BIGINT | | Last step before it.
--   kind | VARCHAR | | full, adapter or quantized.
--   path | VARCHAR | | Folder of the checkpoint.
--   size_bytes | BIGINT | bytes | Size of the folder.
--   train_loss | DOUBLE | | Mean loss of the epoch.
--   validation_loss | DOUBLE | | Loss on the validation rows; NULL without them.
--   perplexity | DOUBLE | | Exponential of the validation loss.
--   saved_at | TIMESTAMP | UTC | When it was saved.

SELECT
    c.identifier AS identifier,
    c.job_uuid AS job_uuid,
    c.epoch AS epoch,
    c.step AS step,
    c.kind AS kind,
    c.path AS path,
    c.bytes AS size_bytes,
    e.train_loss AS train_loss,
    e.validation_loss AS validation_loss,
    e.perplexity AS perplexity,
    c.recorded_at AS saved_at
FROM views.trainjob_checkpoints AS c
LEFT JOIN (
    SELECT *
    FROM views.trainjob_epochs
    QUALIFY row_number() OVER (PARTITION BY job_uuid, epoch ORDER BY position DESC) = 1
) AS e
    ON c.job_uuid = e.job_uuid AND c.epoch = e.epoch
QUALIFY row_number() OVER (PARTITION BY c.job_uuid, c.epoch ORDER BY c.position DESC) = 1;
