-- on: turn.restarted.1, turn.resumed.1
-- Another process took the turn over, or the responses came that it waited for.
INSERT INTO now.turn_changes BY NAME
SELECT
    b.position AS position,
    b.recorded_at AS recorded_at,
    t.turn_id AS turn_id,
    t.session_id AS session_id,
    t.agent_id AS agent_id,
    substr(b.name, 6, length(b.name) - 7) AS change,
    t.started_at AS started_at,
    b.e.attempt AS attempt,
    b.e.owner.node AS owner_node,
    b.e.owner.boot AS owner_boot,
    b.e.actor AS actor,
    b.e.trace_id AS trace_id
FROM (
    SELECT
        position,
        make_timestamp(recorded_at) AS recorded_at,
        id,
        name,
        json_transform(
            state,
            '{"owner": {"node": "VARCHAR", "boot": "VARCHAR"}, "attempt": "INTEGER",
              "actor": "VARCHAR", "trace_id": "VARCHAR"}'
        ) AS e
    FROM batch
    WHERE name IN ('turn.restarted.1', 'turn.resumed.1')
) AS b
INNER JOIN now.turns_now AS t ON b.id = t.turn_id;
