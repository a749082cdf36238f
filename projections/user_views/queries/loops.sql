-- Turns in which the model called one tool with the same arguments again and again.
--   $least | BIGINT | 3 | calls | How often at least.

SELECT
    turn_id,
    any_value(session_id) AS session_id,
    any_value(agent_id) AS agent_id,
    tool_name,
    arguments,
    count(*) AS calls,
    min(called_at) AS first_called_at
FROM tool_calls
WHERE parent_call_id IS NULL
GROUP BY turn_id, tool_name, arguments
HAVING count(*) >= $least
ORDER BY calls DESC, turn_id, tool_name, arguments;
