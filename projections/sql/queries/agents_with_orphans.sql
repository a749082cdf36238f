-- agent_id of each session whose agent was deleted. One that is only missing may be damaged in the log.
SELECT DISTINCT agent_id
FROM now.sessions
WHERE EXISTS (SELECT 1 FROM now.agent_deletions WHERE agent_deletions.agent_id = sessions.agent_id);
