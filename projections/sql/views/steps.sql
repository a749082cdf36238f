-- One row per step that ended: how, when, with which model, tokens and error.
CREATE VIEW now.steps AS
SELECT
    position,
    step_id,
    turn_id,
    session_id,
    agent_id,
    step_type,
    substr(change, 6) AS status,
    started_at,
    recorded_at AS ended_at,
    epoch_us(recorded_at) / 1000 - epoch_us(started_at) / 1000 AS duration_ms,
    attempt,
    model,
    parameters,
    request_digest,
    response_id,
    response_model,
    input_tokens,
    output_tokens,
    content AS output,
    stream_trace,
    error_status,
    error_title,
    error_detail,
    actor,
    trace_id
FROM now.turn_changes
WHERE change IN ('step_completed', 'step_failed', 'step_interrupted');
