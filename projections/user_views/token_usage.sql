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
--   cached_tokens | BIGINT | tokens | Those of input_tokens that the model's server read from a cache; NULL if it did not say.
--   cost_usd | DOUBLE | US dollars | By the prices in the settings as they are now; NULL without a price for the model, or
--      without a number of tokens.
--   trace_id | VARCHAR | | Trace of the request in which it was completed, 32 hex digits; NULL without one.

SELECT
    step_id,
    turn_id,
    session_id,
    agent_id,
    agent_version,
    split_part(model, '/', 1) AS provider,
    model,
    recorded_at AS ended_at,
    recorded_at::DATE AS day,
    input_tokens,
    output_tokens,
    cached_tokens,
    cost_usd,
    trace_id
FROM _usage;
