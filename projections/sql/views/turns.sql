-- One row per turn as it stands now: status, times, tokens over its completed steps, input and output.
CREATE VIEW now.turns AS
SELECT
    turn_id,
    any_value(session_id) AS session_id,
    any_value(agent_id) AS agent_id,
    CASE
        WHEN standing IN ('started', 'restarted', 'resumed') THEN 'running'
        ELSE standing
    END AS status,
    min(recorded_at) AS started_at,
    max(recorded_at) FILTER (ends) AS ended_at,
    (epoch_us(max(recorded_at) FILTER (ends)) - epoch_us(min(recorded_at))) / 1000 AS duration_ms,
    count(*) FILTER (change = 'step_completed') AS completed_steps,
    1 + count(*) FILTER (change = 'restarted') AS attempts,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    any_value(event -> '$.input_messages') AS input_messages,
    any_value(event -> '$.output_message') FILTER (ends) AS output_message,
    any_value(error_status) FILTER (change = 'failed') AS error_status,
    any_value(event ->> '$.error.title') FILTER (change = 'failed') AS error_title,
    any_value(event ->> '$.error.detail') FILTER (change = 'failed') AS error_detail,
    any_value(event ->> '$.reason') FILTER (change = 'cancelled') AS reason,
    any_value(actor) FILTER (change = 'started') AS actor,
    any_value(trace_id) FILTER (change = 'started') AS trace_id,
    max(position) AS position
FROM (
    SELECT
        *,
        change IN ('completed', 'failed', 'cancelled', 'abandoned') AS ends,
        arg_max(change, position) FILTER (change NOT LIKE 'step_%') OVER (PARTITION BY turn_id) AS standing
    FROM now.turn_changes
)
GROUP BY turn_id, standing
HAVING bool_or(change = 'started');
