-- on: session.created, session.forked
-- A new session becomes a row.
INSERT INTO now.sessions BY NAME
SELECT
    position,
    recorded_at,
    id AS session_id,
    e.agent_id AS agent_id,
    e.session_name AS session_name,
    e.parent AS parent,
    e.root AS root,
    e.actor AS actor,
    e.trace_id AS trace_id
FROM (
    SELECT
        position,
        make_timestamp(recorded_at) AS recorded_at,
        id,
        json_transform(
            state,
            '{
                "agent_id": "VARCHAR", "session_name": "VARCHAR", "parent": "VARCHAR", "root": "VARCHAR",
                "actor": "VARCHAR", "trace_id": "VARCHAR"
            }'
        ) AS e
    FROM batch
    WHERE name IN ('session.created', 'session.forked')
);
