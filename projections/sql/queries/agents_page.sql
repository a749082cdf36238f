-- agent_id, config, microseconds of its creation; in the order of creation.
SELECT
    agent_id,
    config,
    epoch_us(recorded_at)
FROM now.agents
WHERE position <= $as_of
ORDER BY position
LIMIT $row_count OFFSET $start_index;
