-- session_id of each session that exists, and whether its agent was not deleted; in the order of creation.
SELECT
    session_id,
    NOT EXISTS (SELECT 1 FROM now.agent_deletions WHERE agent_deletions.agent_id = $agent_id)
FROM now.sessions
WHERE agent_id = $agent_id AND position <= $as_of
ORDER BY position;
