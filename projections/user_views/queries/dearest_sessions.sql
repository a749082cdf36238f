-- The sessions that cost most; without prices those that used most tokens. Shared turns count for the session that recorded them.
--   $row_count | BIGINT | 20 | rows | Most rows to return.

SELECT
    u.session_id,
    any_value(s.name) AS session_name,
    any_value(u.agent_id) AS agent_id,
    count(*) AS inferences,
    coalesce(sum(u.input_tokens), 0)::BIGINT AS input_tokens,
    coalesce(sum(u.output_tokens), 0)::BIGINT AS output_tokens,
    sum(u.cost_usd) AS cost_usd,
    count(*) FILTER (WHERE u.cost_usd IS NULL) AS unpriced_inferences
FROM token_usage AS u
LEFT JOIN sessions AS s ON u.session_id = s.session_id
GROUP BY u.session_id
ORDER BY
    cost_usd DESC NULLS LAST,
    coalesce(sum(u.input_tokens), 0) + coalesce(sum(u.output_tokens), 0) DESC,
    u.session_id
LIMIT $row_count;
