-- The share of calls of tools that failed, were denied or have an unknown outcome, by version of the agent.

SELECT
    agent_id,
    agent_version,
    tool_name,
    count(*) AS calls,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'denied') AS denied,
    count(*) FILTER (WHERE status = 'unknown') AS unknown,
    count(*) FILTER (WHERE status IN ('failed', 'denied', 'unknown')) / count(*) AS error_share
FROM tool_calls
GROUP BY agent_id, agent_version, tool_name
ORDER BY error_share DESC, agent_id, agent_version, tool_name;
