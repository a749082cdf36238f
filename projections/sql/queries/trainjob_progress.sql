-- last step, checkpoints, train_loss, validation_loss of the last epoch: how far a job is.
SELECT
    (
        SELECT arg_max(first_step + len(losses) - 1, position)
        FROM now.trainjob_steps
        WHERE job_uuid = $job_uuid AND position <= $as_of
    ),
    (
        SELECT coalesce(max(epoch), 0)
        FROM now.trainjob_checkpoints
        WHERE job_uuid = $job_uuid AND position <= $as_of
    ),
    (
        SELECT arg_max(train_loss, position)
        FROM now.trainjob_epochs
        WHERE job_uuid = $job_uuid AND position <= $as_of
    ),
    (
        SELECT arg_max(validation_loss, position)
        FROM now.trainjob_epochs
        WHERE job_uuid = $job_uuid AND position <= $as_of
    );
