-- One row per turn as it is now. Messages that input shields have refused, or have not judged, are not shown.
--   turn_id | VARCHAR | | Id of the turn.
--   session_id | VARCHAR | | Session that recorded the turn. Forks share turns: join through session_turns.
--   agent_id | VARCHAR | | Agent of the turn.
--   agent_version | INTEGER | | Version of the agent's configuration with which the turn ran.
--   is_copy | BOOLEAN | | Whether its events were copied, by a fork in the middle of a turn or by an import. token_usage counts
--      the tokens of a copy only if the original does not exist.
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
--   cached_tokens | BIGINT | tokens | Those of input_tokens that were read from a cache; NULL if no model's server said so.
--   cost_usd | DOUBLE | US dollars | Sum over the inferences whose cost is known; NULL if there are none. As input_tokens.
--   unpriced_inferences | BIGINT | inferences | Completed inferences whose cost is not known, which cost_usd lacks.
--   input_messages | JSON | | The messages as they were posted; NULL if input shields refused or have not judged them.
--      Texts above 256 KiB are markers.
--   output_message | JSON | | The answer, or what there was of it; NULL before the end. Texts above 256 KiB are markers.
--   input_shields | JSON | | Shields that judge what the model reads: an array of ids; NULL without any.
--   error_status | INTEGER | | HTTP status of the error of a failed turn.
--   error_title | VARCHAR | | Title of the error of a failed turn.
--   error_detail | VARCHAR | | Why the turn failed. A marker if it is above 256 KiB.
--   cancel_reason | VARCHAR | | Why the turn was cancelled.
--   created_by | VARCHAR | | Name of the API key that started the turn; NULL without keys.
--   position | BIGINT | | Position of its start in the event log: turns in this order.
--   trace_id | VARCHAR | | Trace of the request that started the turn, 32 hex digits; NULL without one.

SELECT
    t.turn_id AS turn_id,
    t.session_id AS session_id,
    t.agent_id AS agent_id,
    t.agent_version AS agent_version,
    t.is_copy AS is_copy,
    CASE
        WHEN c.last_change IN ('started', 'restarted', 'resumed') THEN 'running'
        ELSE c.last_change
    END AS status,
    t.started_at AS started_at,
    c.ended_at AS ended_at,
    (epoch_us(c.ended_at) - epoch_us(t.started_at)) / 1000 AS duration_ms,
    c.attempts AS attempts,
    c.resumes AS resumes,
    c.completed_steps AS completed_steps,
    c.failed_steps AS failed_steps,
    c.input_tokens AS input_tokens,
    c.output_tokens AS output_tokens,
    c.cached_tokens AS cached_tokens,
    c.cost_usd AS cost_usd,
    c.unpriced_inferences AS unpriced_inferences,
    CASE WHEN p.turn_id IS NOT NULL OR NOT t.has_input_shields THEN t.event -> '$.input_messages' END AS input_messages,
    c.end_event -> '$.output_message' AS output_message,
    CASE WHEN t.has_input_shields THEN t.event -> '$.input_shields' END AS input_shields,
    c.error_status AS error_status,
    c.end_event ->> '$.error.title' AS error_title,
    c.end_event ->> '$.error.detail' AS error_detail,
    c.end_event ->> '$.reason' AS cancel_reason,
    t.created_by AS created_by,
    t.position AS position,
    t.trace_id AS trace_id
FROM _started_turns AS t
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
        sum(cached_tokens)::BIGINT AS cached_tokens,
        sum(cost_usd) AS cost_usd,
        count(*)
            FILTER (WHERE change = 'step_completed' AND step_type = 'inference' AND cost_usd IS NULL)
            AS unpriced_inferences,
        any_value(event) FILTER (WHERE change IN ('completed', 'failed', 'cancelled', 'abandoned')) AS end_event,
        any_value(error_status) FILTER (WHERE change = 'failed') AS error_status
    FROM _priced
    GROUP BY turn_id
) AS c
    ON t.turn_id = c.turn_id
LEFT JOIN _passed_inputs AS p ON t.turn_id = p.turn_id AND p.touchpoint = 'user-input';
