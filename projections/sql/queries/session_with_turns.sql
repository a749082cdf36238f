-- The session (change = 'session', its name in content) and after it the rows of its turns, as `turn_rows`.
SELECT
    'session' AS change,
    session_id AS turn_id,
    NULL AS step_id,
    NULL AS step_type,
    epoch_us(recorded_at) AS recorded_us,
    NULL AS started_us,
    session_name AS content,
    NULL AS input_tokens,
    NULL AS output_tokens,
    NULL AS error_status,
    NULL AS error_title,
    NULL AS error_detail,
    position
FROM now.sessions
WHERE
    session_id = $session_id
    AND agent_id = $agent_id
    AND position <= $as_of
    AND EXISTS (SELECT 1 FROM now.agents WHERE agents.agent_id = $agent_id)
UNION ALL
SELECT
    change,
    turn_id,
    step_id,
    step_type,
    epoch_us(recorded_at),
    epoch_us(started_at),
    content::VARCHAR,
    input_tokens,
    output_tokens,
    error_status,
    error_title,
    error_detail,
    position
FROM now.turn_changes
WHERE
    session_id = $session_id
    AND position <= $as_of
    AND ($turn_ids::VARCHAR[] IS NULL OR list_contains($turn_ids::VARCHAR[], turn_id))
ORDER BY position;
