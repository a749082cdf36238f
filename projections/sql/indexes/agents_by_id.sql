-- One agent: 0.5 ms instead of 1.3 ms of CPU.
CREATE INDEX agents_by_id ON now.agents (agent_id);
