-- on: agent.deleted
-- The tombstone of an agent.
INSERT INTO now.agent_deletions BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS agent_id,
    state ->> '$.actor' AS actor,
    state ->> '$.trace_id' AS trace_id
FROM batch
WHERE name = 'agent.deleted';
