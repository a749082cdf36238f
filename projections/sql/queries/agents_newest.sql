-- agent_id, config: the newest versions of the agents of a page, of those that have later versions.
SELECT
    agent_id,
    arg_max(config, position)
FROM now.agent_changes
WHERE
    version > 1
    AND position <= $as_of
    AND agent_id IN (SELECT unnest($agent_ids::VARCHAR[]))
GROUP BY agent_id;
