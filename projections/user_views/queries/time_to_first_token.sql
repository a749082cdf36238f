-- Time from the start of an inference to the first chunk of its answer, by provider and model.

SELECT
    provider,
    model,
    count(*) AS inferences,
    median(first_chunk_ms) AS median_ms,
    quantile_cont(first_chunk_ms, 0.95) AS p95_ms,
    max(first_chunk_ms) AS max_ms
FROM steps
WHERE step_type = 'inference' AND first_chunk_ms IS NOT NULL
GROUP BY provider, model
ORDER BY p95_ms DESC, provider, model;
