-- version, config, microseconds, actor, version of each version of an agent, in order.
SELECT
    version,
    config,
    epoch_us(recorded_at),
    actor,
    version
FROM now.agent_changes
WHERE agent_id = $agent_id AND version > $after AND position <= $as_of
ORDER BY version
LIMIT $row_count OFFSET $start_index;
