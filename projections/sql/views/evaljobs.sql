-- One row per evaluation job as it stands now: candidate, status, times, and how many of its rows are done.
CREATE VIEW now.evaljobs AS
SELECT
    c.benchmark_id AS benchmark_id,
    c.job_id AS job_id,
    CASE arg_max(c.change, c.position) FILTER (c.change <> 'cancel_requested')
        WHEN 'started' THEN 'in_progress'
        ELSE arg_max(c.change, c.position) FILTER (c.change <> 'cancel_requested')
    END AS status,
    any_value(c.event ->> '$.config.eval_candidate.type') FILTER (c.change = 'scheduled') AS candidate_type,
    any_value(
        coalesce(c.event ->> '$.config.eval_candidate.model', c.event ->> '$.config.eval_candidate.config.model')
    ) FILTER (c.change = 'scheduled') AS model,
    any_value(c.event -> '$.config') FILTER (c.change = 'scheduled') AS config,
    any_value(c.event ->> '$.agent_id') FILTER (c.change = 'scheduled') AS agent_id,
    any_value(c.event ->> '$.dataset_id') FILTER (c.change = 'scheduled') AS dataset_id,
    any_value((c.event ->> '$.dataset_version')::INTEGER) FILTER (c.change = 'scheduled') AS dataset_version,
    any_value((c.event ->> '$.num_rows')::BIGINT) FILTER (c.change = 'scheduled') AS num_rows,
    coalesce(any_value(r.num_done), 0) AS num_done,
    coalesce(any_value(r.num_failed), 0) AS num_failed,
    any_value(r.input_tokens) AS input_tokens,
    any_value(r.output_tokens) AS output_tokens,
    any_value(c.event -> '$.aggregates') FILTER (c.change = 'completed') AS aggregates,
    any_value(c.event ->> '$.error.detail') FILTER (c.change = 'failed') AS error_detail,
    min(c.recorded_at) AS scheduled_at,
    min(c.recorded_at) FILTER (c.change = 'started') AS started_at,
    max(c.recorded_at) FILTER (c.change IN ('completed', 'failed', 'cancelled')) AS ended_at,
    any_value(c.actor) FILTER (c.change = 'scheduled') AS actor,
    any_value(c.trace_id) FILTER (c.change = 'scheduled') AS trace_id
FROM now.evaljob_changes AS c
LEFT JOIN (
    SELECT
        benchmark_id,
        job_id,
        count(*) AS num_done,
        count(*) FILTER (failed) AS num_failed,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(output_tokens)::BIGINT AS output_tokens
    FROM now.evaljob_rows
    GROUP BY benchmark_id, job_id
) AS r
    ON c.benchmark_id = r.benchmark_id AND c.job_id = r.job_id
GROUP BY c.benchmark_id, c.job_id;
