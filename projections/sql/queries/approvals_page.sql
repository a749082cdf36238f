-- The decisions of a status ('' for all) in the order of the log; with `approval_id` only that one.
SELECT
    a.approval_id,
    a.kind,
    a.status,
    coalesce(s.agent_id, t.agent_id),
    a.session_id,
    a.turn_id,
    a.call_id,
    a.tool_name,
    a.toolgroup,
    a.arguments,
    a.digest,
    a.request::VARCHAR,
    epoch_us(a.requested_at),
    epoch_us(a.deadline),
    epoch_us(a.decided_at),
    a.decided_by,
    a.reason,
    a.position
FROM now.approvals AS a
LEFT JOIN now.sessions AS s ON a.session_id = s.session_id
LEFT JOIN now.turn_changes AS t ON a.turn_id = t.turn_id AND t.change = 'started'
WHERE
    ($status = '' OR a.status = $status)
    AND ($approval_id = '' OR a.approval_id = $approval_id)
    AND a.position > $after
ORDER BY a.position
LIMIT $row_count OFFSET $start_index;
