-- session_id, session_name, microseconds of its creation; in the order of creation.
SELECT
    session_id,
    session_name,
    epoch_us(recorded_at)
FROM now.sessions
WHERE
    agent_id = $agent_id
    AND position <= $as_of
    AND EXISTS (SELECT 1 FROM now.agents WHERE agents.agent_id = $agent_id)
ORDER BY position
LIMIT $row_count OFFSET $start_index;
