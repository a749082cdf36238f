-- on: turn.started, turn.restarted, turn.awaiting_input, turn.resumed, turn.completed, turn.failed, turn.cancelled, turn.abandoned, turn.step_started, turn.step_completed, turn.step_failed
-- Every event of a turn becomes a row: one statement, because planning one costs about 1 ms per flush.
INSERT INTO now.turn_changes BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS turn_id,
    substr(name, 6) AS change,
    session_id,
    coalesce(e[1], turn_agent_id) AS agent_id,
    e[2] AS step_id,
    e[3] AS step_type,
    coalesce(e[4], step_model) AS model,
    e[5]::BIGINT AS input_tokens,
    e[6]::BIGINT AS output_tokens,
    e[7]::INTEGER AS error_status,
    e[8] AS actor,
    e[9] AS trace_id,
    CASE WHEN name = 'turn.started' THEN coalesce(state ->> '$.agent_version', '1') ELSE turn_agent_version END::INTEGER
        AS agent_version,
    e[11]::BIGINT AS cached_tokens,
    CASE WHEN name = 'turn.started' THEN coalesce(json_array_length(state, '$.input_shields'), 0) > 0 END
        AS has_input_shields,
    CASE WHEN name = 'turn.step_completed' THEN json_array_length(state, '$.output.tool_calls') END AS call_count,
    e[12]::BIGINT AS first_chunk_ms,
    version,
    CASE WHEN logged_at <> recorded_at THEN make_timestamp(logged_at) END AS copied_at,
    -- The answer that a shield refused stays in the log.
    CASE WHEN e[10] IS NULL THEN state ELSE json_merge_patch(state, '{"withheld": null}') END AS event
FROM (
    SELECT
        position,
        recorded_at,
        id,
        name,
        state,
        session_id,
        version,
        logged_at,
        turn_agent_id,
        turn_agent_version,
        step_model,
        state ->> [
            '$.agent_id', '$.step_id', '$.step_type', '$.model',
            '$.usage.input_tokens', '$.usage.output_tokens', '$.error.status', '$.actor', '$.trace_id', '$.withheld',
            '$.usage.cached_tokens', '$.trace.delays_ms[0]'
        ] AS e
    FROM batch
    WHERE name IN (
        'turn.started', 'turn.restarted', 'turn.awaiting_input', 'turn.resumed', 'turn.completed', 'turn.failed',
        'turn.cancelled', 'turn.abandoned', 'turn.step_started', 'turn.step_completed', 'turn.step_failed'
    )
);
