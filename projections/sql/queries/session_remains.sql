-- What rows say of a session: agent_id, its name, and a turn_id for each of its turns in the order of opening.
SELECT
    agent_id,
    session_name,
    NULL AS turn_id,
    position
FROM now.sessions
WHERE session_id = $session_id
UNION ALL
SELECT
    agent_id,
    NULL,
    turn_id,
    position
FROM now.turn_changes
WHERE session_id = $session_id AND change = 'started'
ORDER BY position;
