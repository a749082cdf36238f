-- One agent: 0.5 ms instead of 1.3 ms of CPU.
CREATE INDEX agent_changes_by_agent ON now.agent_changes (agent_id);
