-- on: trainjob.checkpoint_saved
-- A checkpoint becomes a row.
INSERT INTO now.trainjob_checkpoints BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS job_uuid,
    e.identifier AS identifier,
    e.epoch AS epoch,
    e.step AS step,
    e.path AS path,
    e.kind AS kind,
    e.bytes AS bytes
FROM (
    SELECT
        position,
        recorded_at,
        id,
        json_transform(
            state,
            '{"identifier": "VARCHAR", "epoch": "BIGINT", "step": "BIGINT", "path": "VARCHAR", "kind": "VARCHAR",
              "bytes": "BIGINT"}'
        ) AS e
    FROM batch
    WHERE name = 'trainjob.checkpoint_saved'
);
