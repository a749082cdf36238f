-- benchmark_id, event: the benchmarks in the order of registration.
SELECT
    benchmark_id,
    event
FROM now.benchmarks
ORDER BY position;
