-- version, config, microseconds, actor, version of each version of an agent, in order.
-- `OFFSET 0` keeps other conditions out of the scan: with more than one DuckDB reads the whole table, without its index.
SELECT
    version,
    config,
    epoch_us(recorded_at),
    actor,
    version
FROM (SELECT * FROM now.agent_changes WHERE agent_id = $agent_id OFFSET 0)
WHERE version > $after AND position <= $as_of
ORDER BY version
LIMIT $row_count OFFSET $start_index;
