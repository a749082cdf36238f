-- on: turn.started.1
-- The first row of a turn: what it was asked.
INSERT INTO now.turn_changes BY NAME
SELECT
    position,
    recorded_at,
    id AS turn_id,
    e.session_id AS session_id,
    e.agent_id AS agent_id,
    'started' AS change,
    recorded_at AS started_at,
    e.input_messages AS content,
    1 AS attempt,
    coalesce(e.stream, false) AS stream,
    CASE
        WHEN coalesce(e.documents, e.toolgroups, e.tool_config) IS NOT NULL
            THEN json_object(
                'documents', e.documents, 'toolgroups', e.toolgroups, 'tool_config', e.tool_config
            )
    END AS details,
    e.owner.node AS owner_node,
    e.owner.boot AS owner_boot,
    e.actor AS actor,
    e.trace_id AS trace_id
FROM (
    SELECT
        position,
        make_timestamp(recorded_at) AS recorded_at,
        id,
        json_transform(
            state,
            '{"session_id": "VARCHAR", "agent_id": "VARCHAR", "input_messages": "JSON", "stream": "BOOLEAN",
              "documents": "JSON", "toolgroups": "JSON", "tool_config": "JSON",
              "owner": {"node": "VARCHAR", "boot": "VARCHAR"}, "actor": "VARCHAR", "trace_id": "VARCHAR"}'
        ) AS e
    FROM batch
    WHERE name = 'turn.started.1'
);
