-- All that happened to one turn of a session, in order: change, turn_id, step_id, step_type, microseconds, session_id (of
-- the session that recorded it), event, tokens in and out, agent_id, position.
SELECT
    change,
    turn_id,
    step_id,
    step_type,
    epoch_us(recorded_at),
    session_id,
    event,
    input_tokens,
    output_tokens,
    agent_id,
    position
FROM now.turn_changes
WHERE
    turn_id = $turn_id
    AND position <= $as_of
    AND EXISTS (SELECT 1 FROM now.agent_changes AS a WHERE a.agent_id = $agent_id)
    AND EXISTS (
        SELECT 1
        FROM now.sessions
        WHERE sessions.session_id = $session_id AND sessions.agent_id = $agent_id AND sessions.position <= $as_of
    )
    AND (
        session_id = $session_id
        OR EXISTS (
            SELECT 1
            FROM now.shared_turns
            WHERE shared_turns.session_id = $session_id AND shared_turns.turn_id = $turn_id
        )
    )
ORDER BY position;
