-- Spans on which the server captured content and that belong to something with one of the given ids.
SELECT
    min(number) AS first_number,
    agent_id,
    conversation_id,
    dataset_id,
    benchmark_id,
    min(start_ns) AS start_ns,
    count(*) AS spans
FROM (
    SELECT
        number,
        start_ns,
        agent_id,
        conversation_id,
        attributes ->> '$.dataset_id' AS dataset_id,
        attributes ->> '$.benchmark_id' AS benchmark_id
    FROM (
        SELECT * EXCLUDE (pairs) FROM now.spans_recent
        UNION ALL
        SELECT * FROM now.spans_stored
    )
    WHERE
        start_ns <= $until_ns
        AND (
            contains(attributes, '"gen_ai.input.messages":')
            OR contains(attributes, '"gen_ai.output.messages":')
            OR contains(attributes, '"gen_ai.tool.call.arguments":')
            OR contains(attributes, '"gen_ai.tool.call.result":')
        )
)
WHERE
    list_contains($agents, agent_id)
    OR list_contains($sessions, conversation_id)
    OR list_contains($datasets, dataset_id)
    OR list_contains($benchmarks, benchmark_id)
GROUP BY agent_id, conversation_id, dataset_id, benchmark_id;
