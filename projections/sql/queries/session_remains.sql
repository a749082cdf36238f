-- What rows say of a session, in the order of the log: agent_id, its name, parent and root, a turn_id for each of its
-- turns and whether it shares it, a fork for each session of which it is the root.
SELECT
    agent_id,
    session_name,
    parent,
    root,
    NULL AS turn_id,
    FALSE AS is_shared,
    NULL AS fork,
    position
FROM now.sessions
WHERE session_id = $session_id AND position <= $as_of
UNION ALL
SELECT
    agent_id,
    NULL,
    NULL,
    NULL,
    turn_id,
    FALSE,
    NULL,
    position
FROM now.turn_changes
WHERE session_id = $session_id AND position <= $as_of AND change = 'started'
UNION ALL
SELECT
    NULL,
    NULL,
    NULL,
    NULL,
    turn_id,
    TRUE,
    NULL,
    position
FROM now.shared_turns
WHERE session_id = $session_id AND position <= $as_of
UNION ALL
SELECT
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    FALSE,
    session_id,
    position
FROM now.sessions
WHERE root = $session_id AND position <= $as_of
ORDER BY position;
