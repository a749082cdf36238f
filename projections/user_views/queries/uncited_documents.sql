-- Documents of collections that searches of an agent found and no answer of their turns cited, the most often found first. An
-- answer cites a document if it contains its id, or the id's last part.
--   $row_count | BIGINT | 50 | rows | Most rows to return.

WITH found AS (
    SELECT
        turn_id,
        position,
        recorded_at AS found_at,
        unnest(flatten(list_transform(responses, lambda one: coalesce(one.metadata.sources, [])))) AS source
    FROM (
        SELECT
            turn_id,
            position,
            recorded_at,
            from_json(
                event -> '$.tool_responses',
                '[{"metadata": {"sources": [{"document_id": "VARCHAR", "vector_db_id": "VARCHAR"}]}}]'
            ) AS responses
        FROM events
        WHERE name = 'turn.step_completed' AND contains(event::VARCHAR, '"vector_db_id":')
    )
)

SELECT
    t.agent_id,
    f.source.vector_db_id AS collection,
    f.source.document_id AS document_id,
    count(DISTINCT f.position) AS searches,
    count(DISTINCT f.turn_id) AS turns,
    max(f.found_at) AS last_found_at
FROM found AS f
INNER JOIN turns AS t ON f.turn_id = t.turn_id
GROUP BY ALL
HAVING
    NOT bool_or(
        contains(coalesce(t.output_message ->> '$.content', ''), f.source.document_id)
        OR contains(coalesce(t.output_message ->> '$.content', ''), split_part(f.source.document_id, '/', -1))
    )
ORDER BY searches DESC, t.agent_id, collection, document_id
LIMIT $row_count;
