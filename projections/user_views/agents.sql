-- One row per agent that exists, with its newest configuration. Texts above 256 KiB are markers: {"$blob", "bytes"}.
--   agent_id | VARCHAR | | Id of the agent.
--   name | VARCHAR | | Name in the configuration; NULL without one. A marker if it is above 256 KiB.
--   model | VARCHAR | | Model of the newest version, as provider/model.
--   instructions | VARCHAR | | System prompt of the newest version. A marker if it is above 256 KiB.
--   version | INTEGER | | Number of the newest version, from 1.
--   config | JSON | | The whole newest configuration. Its texts above 256 KiB are markers.
--   created_at | TIMESTAMP | UTC | When the agent was created.
--   changed_at | TIMESTAMP | UTC | When the newest version was recorded.
--   created_by | VARCHAR | | Name of the API key that created the agent; NULL without keys.
--   trace_id | VARCHAR | | Trace of the request that created the agent, 32 hex digits; NULL without one.

SELECT
    agent_id,
    arg_max(config, version) ->> '$.name' AS name,
    arg_max(model, version) AS model,
    arg_max(config, version) ->> '$.instructions' AS instructions,
    max(version) AS version,
    arg_max(config, version) AS config,
    min(recorded_at) AS created_at,
    max(recorded_at) AS changed_at,
    any_value(nullif(actor, '')) FILTER (WHERE version = 1) AS created_by,
    any_value(nullif(trace_id, '')) FILTER (WHERE version = 1) AS trace_id
FROM views.agent_changes
GROUP BY agent_id;
