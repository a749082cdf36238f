-- One row per benchmark that exists.
--   benchmark_id | VARCHAR | | Id of the benchmark.
--   dataset_id | VARCHAR | | Dataset with its rows.
--   scoring_functions | VARCHAR[] | | Scoring functions that judge the answers.
--   provider_id | VARCHAR | | Provider that runs it.
--   metadata | JSON | | Metadata that was sent: an object.
--   created_at | TIMESTAMP | UTC | When it was registered.
--   created_by | VARCHAR | | Name of the API key that registered it; NULL without keys.
--   trace_id | VARCHAR | | Trace of the request that registered it, 32 hex digits; NULL without one.

SELECT
    benchmark_id,
    dataset_id,
    scoring_functions,
    event ->> '$.provider_id' AS provider_id,
    event -> '$.metadata' AS metadata,
    recorded_at AS created_at,
    nullif(actor, '') AS created_by,
    nullif(trace_id, '') AS trace_id
FROM views.benchmarks;
