-- One row per training job as it is now.
--   job_uuid | VARCHAR | | Id of the job.
--   status | VARCHAR | | scheduled, in_progress, completed, failed or cancelled.
--   algorithm | VARCHAR | | full, LoRA, QAT or DPO.
--   model | VARCHAR | | Base model as the request named it; the identifier of a checkpoint if it is one.
--   dataset_id | VARCHAR | | Dataset of the rows.
--   dataset_version | INTEGER | | Version of the dataset that is trained.
--   row_count | BIGINT | rows | Rows in that version.
--   validation_dataset_id | VARCHAR | | Dataset of the validation rows; NULL without one.
--   config | JSON | | The configuration, with its defaults: {n_epochs, max_steps_per_epoch, data, optimizer, dtype, ...}.
--   algorithm_config | JSON | | The parameters of the algorithm.
--   checkpoint_dir | VARCHAR | | Folder of the checkpoints.
--   epoch_count | BIGINT | epochs | Epochs to train.
--   epochs_done | BIGINT | epochs | Epochs with a checkpoint.
--   steps_done | BIGINT | steps | Last step that was done; 0 before the first one.
--   total_steps | BIGINT | steps | Expected steps of all epochs; NULL before the worker has loaded the rows.
--   train_loss | DOUBLE | | Mean loss of the last whole epoch.
--   validation_loss | DOUBLE | | Loss on the validation rows after the last whole epoch.
--   attempts | BIGINT | | Starts of a worker: more than 1 after a crash or a stop of the server.
--   resources | JSON | | What the job runs on: {device, ...}; NULL before the worker has loaded the model.
--   error_detail | VARCHAR | | Why the job failed.
--   created_at | TIMESTAMP | UTC | When it was scheduled.
--   started_at | TIMESTAMP | UTC | When a worker was first started.
--   ended_at | TIMESTAMP | UTC | When it ended; NULL before.
--   created_by | VARCHAR | | Name of the API key that scheduled it; NULL without keys.
--   trace_id | VARCHAR | | Trace of the request that scheduled it, 32 hex digits; NULL without one.

SELECT
    s.job_uuid AS job_uuid,
    CASE c.last_change WHEN 'started' THEN 'in_progress' ELSE c.last_change END AS status,
    s.event ->> '$.algorithm.type' AS algorithm,
    s.event ->> '$.model' AS model,
    s.event ->> '$.rows.dataset_id' AS dataset_id,
    (s.event ->> '$.rows.version')::INTEGER AS dataset_version,
    (s.event ->> '$.rows.row_count')::BIGINT AS row_count,
    s.event ->> '$.validation.dataset_id' AS validation_dataset_id,
    s.event -> '$.config' AS config,
    s.event -> '$.algorithm' AS algorithm_config,
    s.event ->> '$.output' AS checkpoint_dir,
    (s.event ->> '$.config.n_epochs')::BIGINT AS epoch_count,
    coalesce(p.epochs_done, 0) AS epochs_done,
    coalesce(t.steps_done, 0) AS steps_done,
    c.total_steps AS total_steps,
    e.train_loss AS train_loss,
    e.validation_loss AS validation_loss,
    c.attempts AS attempts,
    c.resources AS resources,
    c.error_detail AS error_detail,
    s.recorded_at AS created_at,
    c.started_at AS started_at,
    c.ended_at AS ended_at,
    nullif(s.actor, '') AS created_by,
    nullif(s.trace_id, '') AS trace_id
FROM views.trainjob_changes AS s
INNER JOIN (
    SELECT
        job_uuid,
        arg_max(change, position) FILTER (WHERE change NOT IN ('prepared', 'cancel_requested')) AS last_change,
        count(*) FILTER (WHERE change = 'started') AS attempts,
        arg_max((event ->> '$.total_steps')::BIGINT, position) FILTER (WHERE change = 'prepared') AS total_steps,
        arg_max(event -> '$.resources', position) FILTER (WHERE change = 'prepared') AS resources,
        any_value(event ->> '$.error.detail') FILTER (WHERE change = 'failed') AS error_detail,
        min(recorded_at) FILTER (WHERE change = 'started') AS started_at,
        max(recorded_at) FILTER (WHERE change IN ('completed', 'failed', 'cancelled')) AS ended_at
    FROM views.trainjob_changes
    GROUP BY job_uuid
) AS c
    ON s.job_uuid = c.job_uuid
LEFT JOIN (
    SELECT
        job_uuid,
        arg_max(first_step + len(losses) - 1, position) AS steps_done
    FROM views.trainjob_steps
    GROUP BY job_uuid
) AS t
    ON s.job_uuid = t.job_uuid
LEFT JOIN (
    SELECT
        job_uuid,
        arg_max(train_loss, position) AS train_loss,
        arg_max(validation_loss, position) AS validation_loss
    FROM views.trainjob_epochs
    GROUP BY job_uuid
) AS e
    ON s.job_uuid = e.job_uuid
LEFT JOIN (
    SELECT
        job_uuid,
        max(epoch) AS epochs_done
    FROM views.trainjob_checkpoints
    GROUP BY job_uuid
) AS p
    ON s.job_uuid = p.job_uuid
WHERE s.change = 'scheduled';
