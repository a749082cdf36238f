-- on: turn.completed.1, turn.failed.1, turn.cancelled.1, turn.abandoned.1
-- The last row of a turn: how it ended.
INSERT INTO now.turn_changes BY NAME
SELECT
    b.position AS position,
    b.recorded_at AS recorded_at,
    t.turn_id AS turn_id,
    t.session_id AS session_id,
    t.agent_id AS agent_id,
    substr(b.name, 6, length(b.name) - 7) AS change,
    t.started_at AS started_at,
    b.e.output_message AS content,
    b.e.error.status AS error_status,
    b.e.error.title AS error_title,
    b.e.error.detail AS error_detail,
    b.e.reason AS reason,
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
            '{"output_message": "JSON", "reason": "VARCHAR", "actor": "VARCHAR", "trace_id": "VARCHAR",
              "error": {"status": "INTEGER", "title": "VARCHAR", "detail": "VARCHAR"}}'
        ) AS e
    FROM batch
    WHERE name IN ('turn.completed.1', 'turn.failed.1', 'turn.cancelled.1', 'turn.abandoned.1')
) AS b
INNER JOIN now.turns_now AS t ON b.id = t.turn_id;
