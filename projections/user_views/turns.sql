-- One row per turn as it is now. Messages that input shields refused, or have not judged yet, are not shown.
--   turn_id | VARCHAR | | Id of the turn.
--   session_id | VARCHAR | | Session that recorded the turn. Forks share turns: join through session_turns.
--   agent_id | VARCHAR | | Agent of the turn.
--   agent_version | INTEGER | | Version of the agent's configuration with which the turn ran.
--   status | VARCHAR | | running, awaiting_input, completed, failed, cancelled or abandoned.
--   started_at | TIMESTAMP | UTC | When the turn started.
--   ended_at | TIMESTAMP | UTC | When it ended; NULL before.
--   duration_ms | DOUBLE | ms | From start to end, with the time of waiting.
--   attempts | BIGINT | | 1, and 1 for each time a process continued it after a crash or a shutdown.
--   resumes | BIGINT | | How often it continued after it had waited for responses of tools or for decisions.
--   completed_steps | BIGINT | steps | Steps that were completed.
--   failed_steps | BIGINT | steps | Steps that failed.
--   input_tokens | BIGINT | tokens | Sum over its inferences; NULL if no model reported any. Do not add them up over
--      session_turns: shared turns would count several times.
--   output_tokens | BIGINT | tokens | As input_tokens.
--   input_messages | JSON | | The messages as they were posted; NULL if input shields refused or have not judged them.
--      Texts above 256 KiB are markers.
--   output_message | JSON | | The answer, or what there was of it; NULL before the end. Texts above 256 KiB are markers.
--   input_shields | JSON | | Shields that judge what the model reads: an array of ids; NULL without any.
--   error_status | INTEGER | | HTTP status of the error of a failed turn.
--   error_title | VARCHAR | | Title of the error of a failed turn.
--   error_detail | VARCHAR | | Why the turn failed. A marker if it is above 256 KiB.
--   cancel_reason | VARCHAR | | Why the turn was cancelled.
--   created_by | VARCHAR | | Name of the API key that started the turn; NULL without keys.
--   trace_id | VARCHAR | | Trace of the request that started the turn, 32 hex digits; NULL without one.

WITH verdicts AS (
    SELECT
        s.turn_id,
        bool_or(s.event ->> '$.touchpoint' = 'user-input') AS is_judged,
        bool_or(coalesce(e.event ->> '$.violation.level', 'info') NOT IN ('info', 'warn')) AS is_refused
    FROM views.turn_changes AS s
    INNER JOIN views.turn_changes AS e ON s.turn_id = e.turn_id AND s.step_id = e.step_id
    WHERE
        s.change = 'step_started'
        AND s.step_type = 'shield_call'
        AND e.change = 'step_completed'
        AND s.event ->> '$.touchpoint' IN ('user-input', 'retrieved-text')
    GROUP BY s.turn_id
)

SELECT
    t.turn_id AS turn_id,
    t.session_id AS session_id,
    t.agent_id AS agent_id,
    coalesce((t.event ->> '$.agent_version')::INTEGER, 1) AS agent_version,
    CASE
        WHEN c.last_change IN ('started', 'restarted', 'resumed') THEN 'running'
        ELSE c.last_change
    END AS status,
    t.recorded_at AS started_at,
    c.ended_at AS ended_at,
    (epoch_us(c.ended_at) - epoch_us(t.recorded_at)) / 1000 AS duration_ms,
    c.attempts AS attempts,
    c.resumes AS resumes,
    c.completed_steps AS completed_steps,
    c.failed_steps AS failed_steps,
    c.input_tokens AS input_tokens,
    c.output_tokens AS output_tokens,
    CASE
        WHEN coalesce(json_array_length(t.event, '$.input_shields'), 0) = 0 OR (v.is_judged AND NOT v.is_refused)
            THEN t.event -> '$.input_messages'
    END AS input_messages,
    c.end_event -> '$.output_message' AS output_message,
    CASE WHEN json_array_length(t.event, '$.input_shields') > 0 THEN t.event -> '$.input_shields' END AS input_shields,
    c.error_status AS error_status,
    c.end_event ->> '$.error.title' AS error_title,
    c.end_event ->> '$.error.detail' AS error_detail,
    c.end_event ->> '$.reason' AS cancel_reason,
    nullif(t.actor, '') AS created_by,
    nullif(t.trace_id, '') AS trace_id
FROM views.turn_changes AS t
INNER JOIN (
    SELECT
        turn_id,
        arg_max(change, position) FILTER (WHERE NOT starts_with(change, 'step_')) AS last_change,
        max(recorded_at) FILTER (WHERE change IN ('completed', 'failed', 'cancelled', 'abandoned')) AS ended_at,
        1 + count(*) FILTER (WHERE change = 'restarted') AS attempts,
        count(*) FILTER (WHERE change = 'resumed') AS resumes,
        count(*) FILTER (WHERE change = 'step_completed') AS completed_steps,
        count(*) FILTER (WHERE change = 'step_failed') AS failed_steps,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        any_value(event) FILTER (WHERE change IN ('completed', 'failed', 'cancelled', 'abandoned')) AS end_event,
        any_value(error_status) FILTER (WHERE change = 'failed') AS error_status
    FROM views.turn_changes
    GROUP BY turn_id
) AS c
    ON t.turn_id = c.turn_id
LEFT JOIN verdicts AS v ON t.turn_id = v.turn_id
WHERE t.change = 'started' AND t.agent_id IN (SELECT a.agent_id FROM views.agent_changes AS a);
