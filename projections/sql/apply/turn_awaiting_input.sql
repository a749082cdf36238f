-- on: turn.awaiting_input.1
-- The client has to run tools; the content holds their calls.
INSERT INTO now.turn_changes BY NAME
SELECT
    b.position AS position,
    b.recorded_at AS recorded_at,
    t.turn_id AS turn_id,
    t.session_id AS session_id,
    t.agent_id AS agent_id,
    'awaiting_input' AS change,
    t.started_at AS started_at,
    b.e.output_message AS content,
    b.e.actor AS actor,
    b.e.trace_id AS trace_id
FROM (
    SELECT
        position,
        make_timestamp(recorded_at) AS recorded_at,
        id,
        json_transform(
            state, '{"output_message": "JSON", "actor": "VARCHAR", "trace_id": "VARCHAR"}'
        ) AS e
    FROM batch
    WHERE name = 'turn.awaiting_input.1'
) AS b
INNER JOIN now.turns_now AS t ON b.id = t.turn_id;
