-- One row per message of a session's turns, in their order: of users, of assistants, and results of tools. Turns that a fork
-- shares are listed with each session. The system prompt is in agent_versions. Answers that broke off are in
-- steps. Text that shields refused, or have not judged, is not shown.
--   session_id | VARCHAR | | Session whose message it is.
--   turn_id | VARCHAR | | Turn of the message.
--   ordinal | BIGINT | | Place in the session, from 1.
--   turn_ordinal | BIGINT | | Place in the turn, from 1.
--   role | VARCHAR | | user, assistant or tool.
--   text | VARCHAR | | The text, without images; NULL if it is withheld. A text above 256 KiB is a marker: {"$blob", "bytes"}.
--   content | JSON | | The content: a text, an item {type, text, image}, or an array of items; NULL if it is withheld. Texts
--      above 256 KiB are markers.
--   tool_calls | JSON | | Calls of an assistant: an array of {call_id, tool_name, arguments}; NULL without any.
--   call_id | VARCHAR | | The call that a tool's message answers.
--   tool_name | VARCHAR | | The tool that a tool's message is from, if known.
--   step_id | VARCHAR | | Step that made the message; NULL for the messages with which the turn started, and for what is said
--      in place of a refused text.
--   is_withheld | BOOLEAN | | Whether the content is not shown, because input shields refused or have not judged it.
--   sent_at | TIMESTAMP | UTC | When the message was recorded.

WITH inputs AS (
    SELECT
        s.session_id,
        s.turn_id,
        s.ordinal AS turn_number,
        t.position,
        t.started_at,
        p.turn_id IS NULL AND t.has_input_shields AS is_withheld,
        from_json(t.event -> '$.input_messages', '["JSON"]') AS messages
    FROM session_turns AS s
    INNER JOIN _started_turns AS t ON s.turn_id = t.turn_id
    LEFT JOIN _passed_inputs AS p ON s.turn_id = p.turn_id AND p.touchpoint = 'user-input'
),

results AS (
    SELECT
        s.session_id,
        s.turn_id,
        s.ordinal AS turn_number,
        e.position,
        e.recorded_at,
        e.step_id,
        r.step_id IS NULL AND t.has_input_shields AS is_withheld,
        from_json(e.event -> '$.tool_responses', '["JSON"]') AS messages
    FROM session_turns AS s
    INNER JOIN views.turn_changes AS e ON s.turn_id = e.turn_id
    INNER JOIN _started_turns AS t ON s.turn_id = t.turn_id
    LEFT JOIN _passed_results AS r ON e.turn_id = r.turn_id AND e.step_id = r.step_id
    WHERE e.change = 'step_completed' AND e.step_type = 'tool_execution'
),

refused AS (
    SELECT
        turn_id,
        bool_or(touchpoint = 'assistant-output') AS is_output
    FROM _verdicts
    WHERE is_refused
    GROUP BY turn_id
),

said AS (
    SELECT
        session_id,
        turn_id,
        turn_number,
        position,
        generate_subscripts(messages, 1) AS place,
        unnest(messages) AS message,
        NULL AS role,
        NULL AS step_id,
        is_withheld,
        started_at AS sent_at
    FROM inputs
    UNION ALL
    SELECT
        session_id,
        turn_id,
        turn_number,
        position,
        generate_subscripts(messages, 1),
        unnest(messages),
        'tool',
        step_id,
        is_withheld,
        recorded_at
    FROM results
    UNION ALL
    SELECT
        s.session_id,
        s.turn_id,
        s.ordinal,
        e.position,
        1,
        e.event -> '$.output',
        'assistant',
        e.step_id,
        false,
        e.recorded_at
    FROM session_turns AS s
    INNER JOIN views.turn_changes AS e ON s.turn_id = e.turn_id
    LEFT JOIN refused AS r ON s.turn_id = r.turn_id
    WHERE
        e.change = 'step_completed'
        AND e.step_type = 'inference'
        AND NOT (
            coalesce(r.is_output, false)
            AND (e.event ->> '$.output.content') = ''
            AND NOT json_exists(e.event, '$.output.tool_calls')
        )
    UNION ALL
    SELECT
        s.session_id,
        s.turn_id,
        s.ordinal,
        e.position,
        1,
        e.event -> '$.output_message',
        'assistant',
        NULL,
        false,
        e.recorded_at
    FROM session_turns AS s
    INNER JOIN views.turn_changes AS e ON s.turn_id = e.turn_id
    INNER JOIN refused AS r ON s.turn_id = r.turn_id
    WHERE e.change = 'completed'
)

SELECT
    m.session_id AS session_id,
    m.turn_id AS turn_id,
    row_number() OVER (PARTITION BY m.session_id ORDER BY m.turn_number, m.position, m.place) AS ordinal,
    row_number() OVER (PARTITION BY m.session_id, m.turn_id ORDER BY m.position, m.place) AS turn_ordinal,
    coalesce(m.role, m.message ->> '$.role') AS role,
    CASE
        WHEN m.is_withheld THEN NULL
        WHEN json_type(m.message, '$.content') = 'ARRAY'
            THEN array_to_string(m.message ->> '$.content[*].text', chr(10))
        WHEN json_exists(m.message, '$.content.type') THEN m.message ->> '$.content.text'
        ELSE m.message ->> '$.content'
    END AS text,
    CASE WHEN NOT m.is_withheld THEN m.message -> '$.content' END AS content,
    m.message -> '$.tool_calls' AS tool_calls,
    m.message ->> '$.call_id' AS call_id,
    m.message ->> '$.tool_name' AS tool_name,
    m.step_id AS step_id,
    m.is_withheld AS is_withheld,
    m.sent_at AS sent_at
FROM said AS m;
