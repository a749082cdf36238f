-- One row per call of a tool: of tools that the server runs, and of tools that the client runs. Results that input shields
-- refused, or have not judged, are not shown. Texts above 256 KiB are markers: {"$blob", "bytes"}.
--   call_id | VARCHAR | | Id of the call, unique within its turn.
--   turn_id | VARCHAR | | Turn of the call.
--   session_id | VARCHAR | | Session that recorded the turn.
--   agent_id | VARCHAR | | Agent of the turn.
--   agent_version | INTEGER | | Version of the agent's configuration with which the turn ran.
--   step_id | VARCHAR | | Tool execution of the call; NULL before it, and for calls that were denied.
--   tool_name | VARCHAR | | Name of the tool for the model.
--   toolgroup | VARCHAR | | Group of a tool of the server; NULL for a tool that the client runs.
--   arguments | VARCHAR | | JSON text as the model wrote it; it need not be JSON. A marker if it is above 256 KiB.
--   status | VARCHAR | | running, suspended, done, failed (the tool reported an error), denied (it was not called) or unknown
--      (it may have run, and its result was lost); of a tool of the client: waiting, done or unanswered.
--   attempts | BIGINT | | How often the tool was called for this call.
--   parent_call_id | VARCHAR | | Call whose code made this one; NULL for a call of the model.
--   effect_key | VARCHAR | | Key of the effect of a tool of the server; NULL for copied calls and tools of the client.
--   content | JSON | | The result; NULL without one, or if it is withheld. A text above 256 KiB is a marker.
--   is_withheld | BOOLEAN | | Whether there is a result that is not shown, because input shields refused or have not judged it.
--      The results of calls that code made are never judged.
--   called_at | TIMESTAMP | UTC | When it was first called; of a tool of the client when the model asked for it.
--   returned_at | TIMESTAMP | UTC | When the result was recorded.
--   duration_ms | DOUBLE | ms | From the first call to the result, with the time of waiting for decisions.
--   position | BIGINT | | Position of its first event in the event log: calls in this order.
--   trace_id | VARCHAR | | Trace of the request in which it was called, 32 hex digits; NULL without one.

WITH of_server AS (
    SELECT
        turn_id,
        call_id,
        any_value(event ->> '$.step_id') FILTER (WHERE change = 'tool_called') AS step_id,
        any_value(tool_name) AS tool_name,
        any_value(toolgroup) AS toolgroup,
        any_value(event ->> '$.arguments') FILTER (WHERE change IN ('tool_called', 'input_requested')) AS arguments,
        CASE arg_max(change, position) FILTER (WHERE change NOT IN ('input_requested', 'input_received'))
            WHEN 'tool_called' THEN 'running'
            WHEN 'tool_suspended' THEN 'suspended'
            ELSE arg_max(status, position) FILTER (WHERE change IN ('tool_returned', 'effect_settled'))
        END AS status,
        coalesce(max((event ->> '$.attempt')::BIGINT), count(*) FILTER (WHERE change = 'tool_called')) AS attempts,
        any_value(parent) AS parent_call_id,
        any_value(key) AS effect_key,
        arg_max(event -> '$.content', position)
            FILTER (WHERE change IN ('tool_returned', 'effect_settled')) AS content,
        min(recorded_at) FILTER (WHERE change = 'tool_called') AS called_at,
        max(recorded_at) FILTER (WHERE change = 'tool_returned') AS returned_at,
        min(position) AS position,
        any_value(nullif(trace_id, '')) FILTER (WHERE change = 'tool_called') AS trace_id
    FROM views.call_changes
    GROUP BY turn_id, call_id
    HAVING bool_or(change IN ('tool_called', 'tool_returned'))
),

-- Turns in which a model asked for more calls than tools of the server answered: the others have none of the client.
of_more AS (
    SELECT a.turn_id
    FROM (SELECT turn_id, sum(call_count) AS calls FROM views.turn_changes WHERE call_count > 0 GROUP BY turn_id) AS a
    LEFT JOIN (
        SELECT
            r.turn_id,
            count(*) AS calls
        FROM views.call_changes AS r
        -- A call that code of another one made has that one's id, a dot and a number.
        WHERE r.change = 'tool_returned' AND NOT contains(r.call_id, '.')
        GROUP BY r.turn_id
    ) AS b
        ON a.turn_id = b.turn_id
    WHERE a.calls > coalesce(b.calls, 0)
),

asked AS (
    SELECT
        turn_id,
        position,
        recorded_at,
        nullif(trace_id, '') AS trace_id,
        unnest(from_json(event -> '$.output.tool_calls', '["JSON"]')) AS call
    FROM views.turn_changes
    WHERE change = 'step_completed' AND call_count > 0 AND turn_id IN (SELECT m.turn_id FROM of_more AS m)
),

answered AS (
    SELECT
        turn_id,
        step_id,
        recorded_at,
        unnest(from_json(event -> '$.tool_responses', '["JSON"]')) AS response
    FROM views.turn_changes
    WHERE
        change = 'step_completed'
        AND step_type = 'tool_execution'
        AND turn_id IN (SELECT m.turn_id FROM of_more AS m)
),

ended AS (
    SELECT turn_id
    FROM views.turn_changes
    WHERE change IN ('completed', 'failed', 'cancelled', 'abandoned')
),

of_client AS (
    SELECT
        a.turn_id,
        a.call ->> '$.call_id' AS call_id,
        r.step_id,
        a.call ->> '$.tool_name' AS tool_name,
        NULL AS toolgroup,
        a.call ->> '$.arguments' AS arguments,
        CASE
            WHEN r.step_id IS NOT NULL THEN 'done'
            WHEN a.turn_id IN (SELECT e.turn_id FROM ended AS e) THEN 'unanswered'
            ELSE 'waiting'
        END AS status,
        1 AS attempts,
        NULL AS parent_call_id,
        NULL AS effect_key,
        r.response -> '$.content' AS content,
        a.recorded_at AS called_at,
        r.recorded_at AS returned_at,
        a.position,
        a.trace_id
    FROM asked AS a
    LEFT JOIN answered AS r ON a.turn_id = r.turn_id AND (a.call ->> '$.call_id') = (r.response ->> '$.call_id')
    WHERE
        NOT EXISTS (
            SELECT 1
            FROM views.call_changes AS s
            WHERE s.turn_id = a.turn_id AND s.call_id = (a.call ->> '$.call_id')
        )
)

SELECT
    c.call_id AS call_id,
    c.turn_id AS turn_id,
    t.session_id AS session_id,
    t.agent_id AS agent_id,
    t.agent_version AS agent_version,
    c.step_id AS step_id,
    c.tool_name AS tool_name,
    c.toolgroup AS toolgroup,
    c.arguments AS arguments,
    c.status AS status,
    c.attempts AS attempts,
    c.parent_call_id AS parent_call_id,
    c.effect_key AS effect_key,
    CASE
        WHEN NOT t.has_input_shields OR (p.step_id IS NOT NULL AND c.parent_call_id IS NULL) THEN c.content
    END AS content,
    c.content IS NOT NULL
    AND t.has_input_shields
    AND (p.step_id IS NULL OR c.parent_call_id IS NOT NULL) AS is_withheld,
    c.called_at AS called_at,
    c.returned_at AS returned_at,
    (epoch_us(c.returned_at) - epoch_us(c.called_at)) / 1000 AS duration_ms,
    c.position AS position,
    c.trace_id AS trace_id
FROM (
    SELECT * FROM of_server
    UNION ALL
    SELECT * FROM of_client
) AS c
INNER JOIN _started_turns AS t ON c.turn_id = t.turn_id
LEFT JOIN _passed_results AS p ON c.turn_id = p.turn_id AND c.step_id = p.step_id;
