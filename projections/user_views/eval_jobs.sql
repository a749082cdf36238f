-- One row per evaluation job as it is now, also of rows that were sent with a request.
--   benchmark_id | VARCHAR | | Benchmark of the job.
--   job_id | VARCHAR | | Number of the job in its benchmark; of rows that were sent with a request an id of its own.
--   status | VARCHAR | | scheduled, in_progress, completed, failed or cancelled.
--   candidate_type | VARCHAR | | model or agent.
--   model | VARCHAR | | Model of the candidate.
--   agent_id | VARCHAR | | Agent that was created for the job; NULL if the candidate is a model.
--   dataset_id | VARCHAR | | Dataset of the rows; NULL if they were sent with a request.
--   dataset_version | INTEGER | | Version of the dataset.
--   config | JSON | | The configuration: {eval_candidate, scoring_params, num_examples}. Texts above 256 KiB are markers.
--   row_count | BIGINT | rows | Rows to evaluate.
--   done_count | BIGINT | rows | Rows that were evaluated, with those that failed.
--   failed_count | BIGINT | rows | Rows without an answer, or with one that could not be scored.
--   input_tokens | BIGINT | tokens | Sum over its rows; NULL if no model reported any. Tokens of agents are in token_usage too.
--   output_tokens | BIGINT | tokens | As input_tokens.
--   aggregates | JSON | | Aggregated results of each scoring function, by its name; NULL before the end.
--   error_detail | VARCHAR | | Why the job failed.
--   created_at | TIMESTAMP | UTC | When it was scheduled.
--   started_at | TIMESTAMP | UTC | When it first started.
--   ended_at | TIMESTAMP | UTC | When it ended; NULL before.
--   created_by | VARCHAR | | Name of the API key that scheduled it; NULL without keys.
--   trace_id | VARCHAR | | Trace of the request that scheduled it, 32 hex digits; NULL without one.

SELECT
    s.benchmark_id AS benchmark_id,
    s.job_id AS job_id,
    CASE c.last_change WHEN 'started' THEN 'in_progress' ELSE c.last_change END AS status,
    s.event ->> '$.config.eval_candidate.type' AS candidate_type,
    coalesce(
        s.event ->> '$.config.eval_candidate.model', s.event ->> '$.config.eval_candidate.config.model'
    ) AS model,
    nullif(s.event ->> '$.agent_id', '') AS agent_id,
    nullif(s.event ->> '$.dataset_id', '') AS dataset_id,
    nullif((s.event ->> '$.dataset_version')::INTEGER, 0) AS dataset_version,
    s.event -> '$.config' AS config,
    (s.event ->> '$.num_rows')::BIGINT AS row_count,
    coalesce(r.done_count, 0) AS done_count,
    coalesce(r.failed_count, 0) AS failed_count,
    r.input_tokens AS input_tokens,
    r.output_tokens AS output_tokens,
    c.aggregates AS aggregates,
    c.error_detail AS error_detail,
    s.recorded_at AS created_at,
    c.started_at AS started_at,
    c.ended_at AS ended_at,
    nullif(s.actor, '') AS created_by,
    nullif(s.trace_id, '') AS trace_id
FROM views.evaljob_changes AS s
INNER JOIN (
    SELECT
        benchmark_id,
        job_id,
        arg_max(change, position) FILTER (WHERE change <> 'cancel_requested') AS last_change,
        any_value(event -> '$.aggregates')
            FILTER (WHERE change IN ('completed', 'failed', 'cancelled')) AS aggregates,
        any_value(event ->> '$.error.detail') FILTER (WHERE change = 'failed') AS error_detail,
        min(recorded_at) FILTER (WHERE change = 'started') AS started_at,
        max(recorded_at) FILTER (WHERE change IN ('completed', 'failed', 'cancelled')) AS ended_at
    FROM views.evaljob_changes
    GROUP BY benchmark_id, job_id
) AS c
    ON s.benchmark_id = c.benchmark_id AND s.job_id = c.job_id
LEFT JOIN (
    SELECT
        benchmark_id,
        job_id,
        count(*) AS done_count,
        count(*) FILTER (WHERE failed) AS failed_count,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(output_tokens)::BIGINT AS output_tokens
    FROM views.evaljob_rows
    GROUP BY benchmark_id, job_id
) AS r
    ON s.benchmark_id = r.benchmark_id AND s.job_id = r.job_id
WHERE s.change = 'scheduled';
