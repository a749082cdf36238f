-- One row per decision that a call asked for.
--   kind      approval (may the tool be called?) or elicitation (the tool asks for `request`)
--   status    pending, void (its turn ended first), approve, deny, accept, decline, cancel, expired
--   deadline  UTC; then the answer is a refusal
CREATE VIEW now.approvals AS
SELECT
    r.request_id AS approval_id,
    r.event ->> '$.kind' AS kind,
    coalesce(
        d.status,
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM now.turn_changes AS t
                WHERE t.turn_id = r.turn_id AND t.change IN ('completed', 'failed', 'cancelled', 'abandoned')
            ) THEN 'void'
            ELSE 'pending'
        END
    ) AS status,
    r.session_id AS session_id,
    r.turn_id AS turn_id,
    r.call_id AS call_id,
    r.tool_name AS tool_name,
    r.toolgroup AS toolgroup,
    r.event ->> '$.arguments' AS arguments,
    r.event ->> '$.digest' AS digest,
    r.event -> '$.request' AS request,
    r.recorded_at AS requested_at,
    make_timestamp((r.event ->> '$.deadline')::BIGINT) AS deadline,
    d.recorded_at AS decided_at,
    d.actor AS decided_by,
    d.event ->> '$.reason' AS reason,
    r.position AS position
FROM now.call_changes AS r
LEFT JOIN now.call_changes AS d ON r.request_id = d.request_id AND d.change = 'input_received'
WHERE r.change = 'input_requested';
