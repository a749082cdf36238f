-- All that happened to one turn, in order; times in microseconds.
SELECT
    change,
    turn_id,
    step_id,
    step_type,
    epoch_us(recorded_at),
    epoch_us(started_at),
    content,
    input_tokens,
    output_tokens,
    error_status,
    error_title,
    error_detail,
    position
FROM now.turn_changes
WHERE
    turn_id = $turn_id
    AND session_id = $session_id
    AND agent_id = $agent_id
    AND position <= $as_of
    AND EXISTS (SELECT 1 FROM now.agents WHERE agents.agent_id = $agent_id)
ORDER BY position;
