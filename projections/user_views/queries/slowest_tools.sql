-- How long calls of each tool took, with the time of waiting for decisions: the slowest tools first, by their slowest calls.
--   $least | BIGINT | 1 | calls | Tools with fewer calls that returned are left out.

SELECT
    tool_name,
    toolgroup,
    count(duration_ms) AS calls,
    median(duration_ms) AS median_ms,
    quantile_cont(duration_ms, 0.95) AS p95_ms,
    max(duration_ms) AS max_ms
FROM tool_calls
GROUP BY tool_name, toolgroup
HAVING count(duration_ms) >= $least
ORDER BY p95_ms DESC, tool_name, toolgroup;
