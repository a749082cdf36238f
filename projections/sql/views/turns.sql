-- One row per turn as it stands now: status, times, tokens over its completed steps, input and output.
CREATE VIEW now.turns AS
SELECT
    max(position) AS position,
    turn_id,
    any_value(session_id) AS session_id,
    any_value(agent_id) AS agent_id,
    CASE arg_max(change, position) FILTER (change NOT LIKE 'step_%')
        WHEN 'started' THEN 'running'
        WHEN 'restarted' THEN 'running'
        WHEN 'resumed' THEN 'running'
        ELSE arg_max(change, position) FILTER (change NOT LIKE 'step_%')
    END AS status,
    min(recorded_at) FILTER (change = 'started') AS started_at,
    max(recorded_at) FILTER (change IN ('completed', 'failed', 'cancelled', 'abandoned')) AS ended_at,
    epoch_us(max(recorded_at) FILTER (change IN ('completed', 'failed', 'cancelled', 'abandoned'))) / 1000
    - epoch_us(min(recorded_at) FILTER (change = 'started')) / 1000 AS duration_ms,
    count(*) FILTER (change = 'step_completed') AS completed_steps,
    max(attempt) AS attempts,
    coalesce(sum(input_tokens) FILTER (change = 'step_completed'), 0) AS input_tokens,
    coalesce(sum(output_tokens) FILTER (change = 'step_completed'), 0) AS output_tokens,
    any_value(content) FILTER (change = 'started') AS input_messages,
    any_value(content) FILTER (change IN ('completed', 'failed', 'cancelled', 'abandoned')) AS output_message,
    any_value(error_status) FILTER (change = 'failed') AS error_status,
    any_value(error_title) FILTER (change = 'failed') AS error_title,
    any_value(error_detail) FILTER (change = 'failed') AS error_detail,
    any_value(reason) FILTER (change = 'cancelled') AS reason,
    any_value(actor) FILTER (change = 'started') AS actor,
    any_value(trace_id) FILTER (change = 'started') AS trace_id
FROM now.turn_changes
GROUP BY turn_id;
