-- Decisions that calls of tools wait for, the most urgent first, and then those that expired.

SELECT
    approval_id,
    status,
    kind,
    agent_id,
    session_id,
    turn_id,
    tool_name,
    arguments,
    requested_at,
    expires_at
FROM approvals
WHERE status IN ('pending', 'expired')
ORDER BY status = 'expired', expires_at, approval_id;
