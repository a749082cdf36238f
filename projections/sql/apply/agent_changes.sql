-- on: agent.created, agent.updated
-- Each version of an agent becomes a row. One path after the other, because agents come a few at a time: this plans
-- 0.5 ms faster than a json_transform, which is faster for many rows.
INSERT INTO now.agent_changes BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS agent_id,
    version,
    state ->> '$.config.name' AS name,
    state ->> '$.config.model' AS model,
    state -> '$.config' AS config,
    state ->> '$.actor' AS actor,
    state ->> '$.trace_id' AS trace_id
FROM batch
WHERE name IN ('agent.created', 'agent.updated');
