-- on: turn.started, turn.restarted, turn.awaiting_input, turn.resumed, turn.completed, turn.failed, turn.cancelled, turn.abandoned, turn.step_started, turn.step_completed, turn.step_failed
-- Every event of a turn becomes a row: one statement, because planning one costs about 1 ms per flush.
INSERT INTO now.turn_changes BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS turn_id,
    substr(name, 6) AS change,
    session_id,
    e[1] AS agent_id,
    e[2] AS step_id,
    e[3] AS step_type,
    e[4] AS model,
    e[5]::BIGINT AS input_tokens,
    e[6]::BIGINT AS output_tokens,
    e[7]::INTEGER AS error_status,
    e[8] AS actor,
    e[9] AS trace_id,
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
        state ->> [
            '$.agent_id', '$.step_id', '$.step_type', '$.model',
            '$.usage.input_tokens', '$.usage.output_tokens', '$.error.status', '$.actor', '$.trace_id', '$.withheld'
        ] AS e
    FROM batch
    WHERE name IN (
        'turn.started', 'turn.restarted', 'turn.awaiting_input', 'turn.resumed', 'turn.completed', 'turn.failed',
        'turn.cancelled', 'turn.abandoned', 'turn.step_started', 'turn.step_completed', 'turn.step_failed'
    )
);
