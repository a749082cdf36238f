-- config, version, microseconds of the creation of an agent, in one version of it ($version, 0 for the newest).
SELECT
    arg_max(config, position) FILTER ($version IN (0, version)),
    max(version) FILTER ($version IN (0, version)),
    epoch_us(min(recorded_at))
FROM now.agent_changes
WHERE agent_id = $agent_id AND position <= $as_of;
