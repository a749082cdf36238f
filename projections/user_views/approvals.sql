-- One row per decision that a call of a tool asked for.
--   approval_id | VARCHAR | | Id of the decision.
--   kind | VARCHAR | | approval (may the tool be called?) or elicitation (the tool asks for something).
--   status | VARCHAR | | pending, void (its turn ended first), approve, deny, accept, decline, cancel or expired.
--   call_id | VARCHAR | | Call that waits for it.
--   turn_id | VARCHAR | | Turn of the call.
--   session_id | VARCHAR | | Session that recorded the turn.
--   agent_id | VARCHAR | | Agent of the turn.
--   tool_name | VARCHAR | | Tool that is to be called.
--   toolgroup | VARCHAR | | Group of the tool.
--   arguments | VARCHAR | | Arguments of the call, JSON text. A marker if it is above 256 KiB.
--   request | JSON | | What an elicitation asks for; NULL for an approval. Texts above 256 KiB are markers.
--   requested_at | TIMESTAMP | UTC | When the decision was asked for.
--   expires_at | TIMESTAMP | UTC | Then the answer is a refusal.
--   decided_at | TIMESTAMP | UTC | When it was decided; NULL before.
--   wait_ms | DOUBLE | ms | From the request to the decision; NULL before.
--   decided_by | VARCHAR | | Name of the API key that decided; NULL without keys.
--   reason | VARCHAR | | Reason that was given with the decision. A marker if it is above 256 KiB.
--   position | BIGINT | | Position of the request in the event log: decisions in this order.

SELECT
    r.request_id AS approval_id,
    r.event ->> '$.kind' AS kind,
    coalesce(d.status, CASE WHEN e.turn_id IS NULL THEN 'pending' ELSE 'void' END) AS status,
    r.call_id AS call_id,
    r.turn_id AS turn_id,
    t.session_id AS session_id,
    t.agent_id AS agent_id,
    r.tool_name AS tool_name,
    r.toolgroup AS toolgroup,
    r.event ->> '$.arguments' AS arguments,
    r.event -> '$.request' AS request,
    r.recorded_at AS requested_at,
    make_timestamp((r.event ->> '$.deadline')::BIGINT) AS expires_at,
    d.recorded_at AS decided_at,
    (epoch_us(d.recorded_at) - epoch_us(r.recorded_at)) / 1000 AS wait_ms,
    nullif(d.actor, '') AS decided_by,
    nullif(d.event ->> '$.reason', '') AS reason,
    r.position AS position
FROM views.call_changes AS r
INNER JOIN _started_turns AS t ON r.turn_id = t.turn_id
LEFT JOIN views.call_changes AS d ON r.request_id = d.request_id AND d.change = 'input_received'
LEFT JOIN views.turn_changes AS e
    ON r.turn_id = e.turn_id AND e.change IN ('completed', 'failed', 'cancelled', 'abandoned')
WHERE r.change = 'input_requested';
