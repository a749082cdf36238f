-- One row per agent as it is now: the newest version of its configuration.
CREATE VIEW now.agents AS
SELECT
    agent_id,
    arg_max(config, position) ->> '$.name' AS name,
    arg_max(model, position) AS model,
    arg_max(config, position) AS config,
    max(version) AS version,
    min(recorded_at) AS recorded_at,
    max(recorded_at) AS changed_at,
    any_value(actor) FILTER (version = 1) AS actor,
    any_value(trace_id) FILTER (version = 1) AS trace_id,
    max(position) AS position
FROM now.agent_changes
GROUP BY agent_id;
