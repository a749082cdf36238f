-- config, version, microseconds of the creation of an agent, in one version of it ($version, 0 for the newest).
-- `OFFSET 0` keeps other conditions out of the scan: with more than one DuckDB reads the whole table, without its index.
SELECT
    arg_max(config, position) FILTER ($version IN (0, version)),
    max(version) FILTER ($version IN (0, version)),
    epoch_us(min(recorded_at))
FROM (SELECT * FROM now.agent_changes WHERE agent_id = $agent_id OFFSET 0)
WHERE position <= $as_of;
