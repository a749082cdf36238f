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

WITH copied AS MATERIALIZED (
    SELECT
        e.turn_id,
        e.step_id,
        e.position
    FROM views.turn_changes AS e
    WHERE e.change = 'step_completed' AND e.turn_id IN (SELECT t.turn_id FROM _started_turns AS t WHERE t.is_copy)
),

repeated AS (
    SELECT
        c.turn_id,
        c.step_id
    FROM copied AS c
    INNER JOIN (
        SELECT
            o.step_id,
            min(o.position) AS position
        FROM views.turn_changes AS o
        WHERE o.change = 'step_completed' AND o.step_id IN (SELECT d.step_id FROM copied AS d)
        GROUP BY o.step_id
    ) AS f
        ON c.step_id = f.step_id AND c.position > f.position
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
LEFT JOIN repeated AS c ON e.turn_id = c.turn_id AND e.step_id = c.step_id
WHERE e.change = 'step_completed' AND e.step_type = 'inference' AND c.step_id IS NULL;
