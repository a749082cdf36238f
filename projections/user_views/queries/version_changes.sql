-- What changed in an agent's configuration between two of its versions, one row per value. Items of lists are compared by place.
--   $agent_id | VARCHAR | | | The agent.
--   $version_a | BIGINT | 0 | | The earlier version; 0 for the one before version_b.
--   $version_b | BIGINT | 0 | | The later version; 0 for the newest one.

WITH newest AS (
    SELECT max(version) AS version
    FROM agent_versions
    WHERE agent_id = $agent_id::VARCHAR
),

wanted AS (
    SELECT
        if($version_b = 0, version, $version_b) AS version_b,
        if($version_a = 0, if($version_b = 0, version, $version_b) - 1, $version_a) AS version_a
    FROM newest
),

items AS (
    SELECT
        v.version,
        j.fullkey AS path,
        j.atom ->> '$' AS value
    FROM agent_versions AS v,
        json_tree(v.config) AS j
    WHERE v.agent_id = $agent_id::VARCHAR AND j.atom IS NOT NULL
)

SELECT
    coalesce(a.path, b.path) AS path,
    CASE WHEN a.path IS NULL THEN 'added' WHEN b.path IS NULL THEN 'removed' ELSE 'changed' END AS change,
    a.value AS value_a,
    b.value AS value_b
FROM (SELECT * FROM items WHERE version = (SELECT version_a FROM wanted)) AS a
FULL OUTER JOIN (SELECT * FROM items WHERE version = (SELECT version_b FROM wanted)) AS b ON a.path = b.path
WHERE a.value IS DISTINCT FROM b.value
ORDER BY path;
