-- agent_id of each session whose agent does not exist.
SELECT DISTINCT agent_id
FROM now.sessions
WHERE NOT EXISTS (SELECT 1 FROM now.agents WHERE agents.agent_id = sessions.agent_id);
