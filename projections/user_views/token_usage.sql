-- One row per inference of a turn that was completed: the tokens that the model reported. Each inference counts once, also
-- if forks share its turn or have a copy of it. Tokens of models that are evaluated without an agent are in eval_results.
--   step_id | VARCHAR | | Id of the inference step.
--   turn_id | VARCHAR | | Id of the turn.
--   session_id | VARCHAR | | Session that recorded the turn.
--   agent_id | VARCHAR | | Agent of the turn.
--   agent_version | INTEGER | | Version of the agent's configuration with which the turn ran.
--   provider | VARCHAR | | Provider of the model: the part of the model's id before the first slash.
--   model | VARCHAR | | Model that was asked, as provider/model.
--   ended_at | TIMESTAMP | UTC | When the inference was completed.
--   day | DATE | UTC | The day of ended_at.
--   input_tokens | BIGINT | tokens | NULL if the model did not report it.
--   output_tokens | BIGINT | tokens | NULL if the model did not report it.
--   trace_id | VARCHAR | | Trace of the request in which it was completed, 32 hex digits; NULL without one.

WITH copied AS (
    SELECT
        c.turn_id,
        c.step_id
    FROM _started_turns AS t
    INNER JOIN views.turn_changes AS c ON t.turn_id = c.turn_id AND c.change = 'step_completed'
    INNER JOIN views.turn_changes AS o
        ON c.step_id = o.step_id AND o.change = 'step_completed' AND c.position > o.position
    WHERE t.is_copy
)

SELECT
    e.step_id AS step_id,
    e.turn_id AS turn_id,
    e.session_id AS session_id,
    t.agent_id AS agent_id,
    t.agent_version AS agent_version,
    split_part(s.model, '/', 1) AS provider,
    s.model AS model,
    e.recorded_at AS ended_at,
    e.recorded_at::DATE AS day,
    e.input_tokens AS input_tokens,
    e.output_tokens AS output_tokens,
    nullif(e.trace_id, '') AS trace_id
FROM views.turn_changes AS e
INNER JOIN views.turn_changes AS s ON e.turn_id = s.turn_id AND e.step_id = s.step_id AND s.change = 'step_started'
INNER JOIN _started_turns AS t ON e.turn_id = t.turn_id
LEFT JOIN copied AS c ON e.turn_id = c.turn_id AND e.step_id = c.step_id
WHERE e.change = 'step_completed' AND e.step_type = 'inference' AND c.step_id IS NULL;
