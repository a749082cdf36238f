-- on: turn.tool_called, turn.tool_returned, turn.tool_suspended, turn.input_requested, turn.input_received, turn.effect_settled
INSERT INTO now.call_changes BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    session_id,
    id AS turn_id,
    e[1] AS call_id,
    substr(name, 6) AS change,
    -- A copied call is an effect of the turn from which it was copied.
    CASE WHEN e[10] IS NULL THEN e[2] END AS key,
    e[3] AS request_id,
    coalesce(e[4], e[5]) AS status,
    e[6] AS tool_name,
    e[7] AS toolgroup,
    e[8] AS actor,
    e[9] AS trace_id,
    nullif(e[11], '') AS parent,
    version,
    CASE WHEN logged_at <> recorded_at THEN make_timestamp(logged_at) END AS copied_at,
    state AS event
FROM (
    SELECT
        position,
        recorded_at,
        session_id,
        version,
        logged_at,
        id,
        name,
        state,
        state ->> [
            '$.call_id', '$.key', '$.request_id', '$.status', '$.decision', '$.tool_name', '$.toolgroup', '$.actor',
            '$.trace_id', '$.occurred_at', '$.parent'
        ] AS e
    FROM batch
    WHERE name IN (
        'turn.tool_called', 'turn.tool_returned', 'turn.tool_suspended', 'turn.input_requested',
        'turn.input_received', 'turn.effect_settled'
    )
);
