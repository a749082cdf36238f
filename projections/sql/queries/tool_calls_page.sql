-- The calls of a status ('' for all) in the order of the log; with `key` only that one.
SELECT
    c.key,
    c.status,
    coalesce(s.agent_id, t.agent_id),
    c.session_id,
    c.turn_id,
    c.call_id,
    c.tool_name,
    c.toolgroup,
    c.arguments,
    c.repeatable,
    c.attempts,
    epoch_us(c.called_at),
    epoch_us(c.returned_at),
    c.content::VARCHAR,
    c.parent,
    epoch_us(c.settled_at),
    c.settled_by,
    c.settled_reason,
    c.first_position
FROM now.tool_calls AS c
LEFT JOIN now.sessions AS s ON c.session_id = s.session_id
LEFT JOIN now.turn_changes AS t ON c.turn_id = t.turn_id AND t.change = 'started'
WHERE
    ($status = '' OR c.status = $status)
    AND ($key = '' OR c.key = $key)
    AND c.key IS NOT NULL
    AND c.first_position > $after
ORDER BY c.first_position
LIMIT $row_count OFFSET $start_index;
