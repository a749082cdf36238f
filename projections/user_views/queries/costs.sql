-- Tokens and costs of each day, agent and model, the newest day first. Inferences without a price are in no cost_usd.
--   $since | TIMESTAMP | 1970-01-01 | UTC | Inferences that were completed from then on.

SELECT
    u.day,
    u.agent_id,
    any_value(a.name) AS agent_name,
    u.model,
    count(*) AS inferences,
    coalesce(sum(u.input_tokens), 0)::BIGINT AS input_tokens,
    coalesce(sum(u.output_tokens), 0)::BIGINT AS output_tokens,
    coalesce(sum(u.cached_tokens), 0)::BIGINT AS cached_tokens,
    sum(u.cost_usd) AS cost_usd,
    count(*) FILTER (WHERE u.cost_usd IS NULL) AS unpriced_inferences
FROM token_usage AS u
LEFT JOIN agents AS a ON u.agent_id = a.agent_id
WHERE u.ended_at >= $since::TIMESTAMP
GROUP BY u.day, u.agent_id, u.model
ORDER BY u.day DESC, cost_usd DESC NULLS LAST, u.agent_id, u.model;
