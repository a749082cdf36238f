-- on: trainjob.scheduled, trainjob.started, trainjob.prepared, trainjob.cancel_requested, trainjob.completed, trainjob.failed, trainjob.cancelled
-- Every event of a training job that is not about a step, an epoch or a checkpoint becomes a row.
INSERT INTO now.trainjob_changes BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS job_uuid,
    substr(name, 10) AS change,
    e[1] AS actor,
    e[2] AS trace_id,
    state AS event
FROM (
    SELECT
        position,
        recorded_at,
        id,
        name,
        state,
        state ->> ['$.actor', '$.trace_id'] AS e
    FROM batch
    WHERE
        name LIKE 'trainjob.%'
        AND name NOT IN ('trainjob.steps_done', 'trainjob.epoch_done', 'trainjob.checkpoint_saved')
);
