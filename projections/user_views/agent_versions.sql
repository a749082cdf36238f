-- One row per version of an agent that exists. A version is in use until the next one replaces it.
--   agent_id | VARCHAR | | Id of the agent.
--   version | INTEGER | | Number of the version, from 1.
--   name | VARCHAR | | Name in this version; NULL without one. A marker if it is above 256 KiB.
--   model | VARCHAR | | Model of this version, as provider/model.
--   instructions | VARCHAR | | System prompt of this version. A marker if it is above 256 KiB.
--   config | JSON | | The whole configuration. Its texts above 256 KiB are markers.
--   created_at | TIMESTAMP | UTC | When the version was recorded.
--   replaced_at | TIMESTAMP | UTC | When the next version was recorded; NULL for the newest one.
--   created_by | VARCHAR | | Name of the API key that made the version; NULL without keys.
--   trace_id | VARCHAR | | Trace of the request that made the version, 32 hex digits; NULL without one.

SELECT
    agent_id,
    version,
    name,
    model,
    config ->> '$.instructions' AS instructions,
    config,
    recorded_at AS created_at,
    lead(recorded_at) OVER (PARTITION BY agent_id ORDER BY version) AS replaced_at,
    nullif(actor, '') AS created_by,
    nullif(trace_id, '') AS trace_id
FROM views.agent_changes;
