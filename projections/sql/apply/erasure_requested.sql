-- on: agent.deleted, session.deleted, dataset.unregistered, benchmark.unregistered
-- An id that was used and deleted again: the log has no more than its last deletion.
DELETE FROM now.erasures
USING batch
WHERE
    batch.name IN ('agent.deleted', 'session.deleted', 'dataset.unregistered', 'benchmark.unregistered')
    AND erasures.kind = split_part(batch.name, '.', 1)
    AND erasures.id = batch.id;

INSERT INTO now.erasures BY NAME
SELECT
    position,
    recorded_at AS recorded_us,
    split_part(name, '.', 1) AS kind,
    id,
    nullif(state ->> '$.erased.agent_id', '') AS agent_id,
    CASE WHEN json_exists(state, '$.erased') THEN coalesce((state ->> '$.erased.events')::BIGINT, 0) END AS events,
    CASE WHEN json_exists(state, '$.erased') THEN coalesce((state ->> '$.erased.blobs')::BIGINT, 0) END AS blobs,
    CASE WHEN json_exists(state, '$.erased') THEN coalesce((state ->> '$.erased.turns')::BIGINT, 0) END AS turns,
    CASE WHEN json_exists(state, '$.erased') THEN coalesce((state ->> '$.erased.jobs')::BIGINT, 0) END AS jobs,
    from_json(state -> '$.kept', '["VARCHAR"]') AS kept,
    from_json(state -> '$.freed', '["VARCHAR"]') AS freed
FROM batch
WHERE name IN ('agent.deleted', 'session.deleted', 'dataset.unregistered', 'benchmark.unregistered')
QUALIFY row_number() OVER (PARTITION BY name, id ORDER BY position DESC) = 1;
