-- on: turn.step_started.1
-- A started step is open. A step of a turn that is not known (its content was redacted) is nothing.
INSERT INTO now.steps_now BY NAME
SELECT
    b.position AS position,
    b.started_at AS started_at,
    b.e.step_id AS step_id,
    t.turn_id AS turn_id,
    t.session_id AS session_id,
    t.agent_id AS agent_id,
    b.e.step_type AS step_type,
    b.e.attempt AS attempt,
    b.e.model AS model,
    b.e.parameters AS parameters,
    b.e.request_digest AS request_digest
FROM (
    SELECT
        position,
        make_timestamp(recorded_at) AS started_at,
        id,
        json_transform(
            state,
            '{"step_id": "VARCHAR", "step_type": "VARCHAR", "attempt": "INTEGER", "model": "VARCHAR",
              "parameters": "JSON", "request_digest": "VARCHAR"}'
        ) AS e
    FROM batch
    WHERE name = 'turn.step_started.1'
) AS b
INNER JOIN now.turns_now AS t ON b.id = t.turn_id;
