-- session_id of each session that exists, and whether its agent does; in the order of creation.
SELECT
    session_id,
    EXISTS (SELECT 1 FROM now.agents WHERE agents.agent_id = $agent_id)
FROM now.sessions
WHERE agent_id = $agent_id AND position <= $as_of
ORDER BY position;
