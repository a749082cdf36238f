-- The share of the input that models' servers read from a cache, by agent and model, of inferences that said so: lowest first.
--   $since | TIMESTAMP | 1970-01-01 | UTC | Inferences that were completed from then on.

SELECT
    agent_id,
    model,
    count(*) AS inferences,
    count(cached_tokens) AS reporting_inferences,
    coalesce(sum(input_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 0)::BIGINT AS input_tokens,
    coalesce(sum(cached_tokens), 0)::BIGINT AS cached_tokens,
    sum(cached_tokens) / nullif(sum(input_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 0) AS cache_share
FROM token_usage
WHERE ended_at >= $since::TIMESTAMP
GROUP BY agent_id, model
ORDER BY cache_share NULLS LAST, input_tokens DESC, agent_id, model;
