-- on: agent.created
-- A created agent becomes a row.
INSERT INTO now.agents BY NAME
SELECT
    position,
    recorded_at,
    id AS agent_id,
    e.config ->> '$.name' AS name,
    e.config ->> '$.model' AS model,
    e.config AS config,
    e.actor AS actor,
    e.trace_id AS trace_id
FROM (
    SELECT
        position,
        make_timestamp(recorded_at) AS recorded_at,
        id,
        json_transform(state, '{"config": "JSON", "actor": "VARCHAR", "trace_id": "VARCHAR"}') AS e
    FROM batch
    WHERE name = 'agent.created'
);
