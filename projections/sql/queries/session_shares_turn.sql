-- One row if the session exists and shares the turn.
SELECT 1
FROM now.shared_turns AS r
INNER JOIN now.sessions AS s ON r.session_id = s.session_id
WHERE
    r.session_id = $session_id
    AND r.turn_id = $turn_id
    AND s.agent_id = $agent_id
    AND s.position <= $as_of;
