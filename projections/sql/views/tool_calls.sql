-- One row per call of a server-side tool as it stands now.
--   status       running, suspended, done, failed, denied (not called), unknown (it may have run; its result was lost)
--   parent       the call whose code made this one; NULL for a call of the model
--   settled_by   the operator who decided an unknown outcome
--   duration_ms  from the first call to the result, in milliseconds, with the time of waiting for decisions
CREATE VIEW now.tool_calls AS
SELECT
    any_value(key) AS key,
    call_id,
    turn_id,
    any_value(session_id) AS session_id,
    any_value(event ->> '$.step_id') FILTER (change = 'tool_called') AS step_id,
    any_value(tool_name) AS tool_name,
    any_value(toolgroup) AS toolgroup,
    any_value(event ->> '$.arguments') FILTER (change IN ('tool_called', 'input_requested')) AS arguments,
    coalesce(bool_or((event ->> '$.repeatable')::BOOLEAN), FALSE) AS repeatable,
    any_value(event ->> '$.parent') FILTER (change = 'tool_called') AS parent,
    coalesce(max((event ->> '$.attempt')::INTEGER), count(*) FILTER (change = 'tool_called')) AS attempts,
    CASE arg_max(change, position) FILTER (change NOT IN ('input_requested', 'input_received'))
        WHEN 'tool_called' THEN 'running'
        WHEN 'tool_suspended' THEN 'suspended'
        ELSE arg_max(status, position) FILTER (change IN ('tool_returned', 'effect_settled'))
    END AS status,
    arg_max(event -> '$.content', position) FILTER (change IN ('tool_returned', 'effect_settled')) AS content,
    min(recorded_at) FILTER (change = 'tool_called') AS called_at,
    max(recorded_at) FILTER (change = 'tool_returned') AS returned_at,
    (
        epoch_us(max(recorded_at) FILTER (change = 'tool_returned'))
        - epoch_us(min(recorded_at) FILTER (change = 'tool_called'))
    ) / 1000 AS duration_ms,
    max(recorded_at) FILTER (change = 'effect_settled') AS settled_at,
    arg_max(actor, position) FILTER (change = 'effect_settled') AS settled_by,
    arg_max(event ->> '$.reason', position) FILTER (change = 'effect_settled') AS settled_reason,
    any_value(trace_id) FILTER (change = 'tool_called') AS trace_id,
    min(position) AS first_position,
    max(position) AS position
FROM now.call_changes
GROUP BY turn_id, call_id
HAVING bool_or(change IN ('tool_called', 'tool_returned'));
