-- agent_id, config, microseconds of its creation.
SELECT
    agent_id,
    config,
    epoch_us(recorded_at)
FROM now.agents
WHERE agent_id = $agent_id AND position <= $as_of;
