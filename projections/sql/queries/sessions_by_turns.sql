-- session_id of each session with turns of an agent, also where the session's own creation is damaged. Reads all turns.
SELECT DISTINCT session_id
FROM now.turn_changes
WHERE agent_id = $agent_id AND change = 'started';
