-- on: turn.started.1
-- A started turn is open.
INSERT INTO now.turns_now BY NAME
SELECT
    position,
    started_at,
    id AS turn_id,
    e.session_id AS session_id,
    e.agent_id AS agent_id,
    1 AS attempt,
    e.owner.node AS owner_node,
    e.owner.boot AS owner_boot
FROM (
    SELECT
        position,
        make_timestamp(recorded_at) AS started_at,
        id,
        json_transform(
            state,
            '{"session_id": "VARCHAR", "agent_id": "VARCHAR", "owner": {"node": "VARCHAR", "boot": "VARCHAR"}}'
        ) AS e
    FROM batch
    WHERE name = 'turn.started.1'
);
