-- The first message in which two sessions differ: in its role, its text or its calls. No row if all messages are the same.
--   $session_a | VARCHAR | | | The first session.
--   $session_b | VARCHAR | | | The second session, such as a fork of the first.

WITH said AS (
    SELECT
        session_id,
        ordinal,
        turn_id,
        role,
        text,
        content::VARCHAR AS content,
        list_transform(
            from_json(tool_calls, '[{"tool_name": "VARCHAR", "arguments": "VARCHAR"}]'),
            lambda one: one.tool_name || '(' || one.arguments || ')'
        ) AS calls
    FROM messages
    WHERE session_id IN ($session_a::VARCHAR, $session_b::VARCHAR)
)

SELECT
    coalesce(a.ordinal, b.ordinal) AS ordinal,
    CASE
        WHEN a.ordinal IS NULL OR b.ordinal IS NULL THEN 'end'
        WHEN a.role <> b.role THEN 'role'
        WHEN a.content IS DISTINCT FROM b.content THEN 'text'
        ELSE 'calls'
    END AS difference,
    a.turn_id AS turn_a,
    b.turn_id AS turn_b,
    a.role AS role_a,
    b.role AS role_b,
    a.text AS text_a,
    b.text AS text_b,
    a.calls AS calls_a,
    b.calls AS calls_b
FROM (SELECT * FROM said WHERE session_id = $session_a::VARCHAR) AS a
FULL OUTER JOIN (SELECT * FROM said WHERE session_id = $session_b::VARCHAR) AS b ON a.ordinal = b.ordinal
WHERE
    a.role IS DISTINCT FROM b.role
    OR a.content IS DISTINCT FROM b.content
    OR a.calls IS DISTINCT FROM b.calls
ORDER BY coalesce(a.ordinal, b.ordinal)
LIMIT 1;
