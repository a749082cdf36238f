-- on: turn.restarted.1, turn.completed.1, turn.failed.1, turn.cancelled.1
-- A step that was open when its turn was taken over or ended.
INSERT INTO now.turn_changes BY NAME
SELECT
    min(b.position) AS position,
    make_timestamp(min(b.recorded_at)) AS recorded_at,
    s.turn_id AS turn_id,
    s.session_id AS session_id,
    s.agent_id AS agent_id,
    'step_interrupted' AS change,
    s.started_at AS started_at,
    s.step_id AS step_id,
    s.step_type AS step_type,
    s.attempt AS attempt,
    s.model AS model,
    s.parameters AS parameters,
    s.request_digest AS request_digest
FROM now.steps_now AS s
INNER JOIN batch AS b ON s.turn_id = b.id AND s.position < b.position
WHERE b.name IN ('turn.restarted.1', 'turn.completed.1', 'turn.failed.1', 'turn.cancelled.1')
GROUP BY ALL;
