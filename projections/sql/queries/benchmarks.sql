-- benchmark_id, event: the benchmarks in the order of registration.
SELECT
    benchmark_id,
    event
FROM now.benchmarks
WHERE position <= $as_of
ORDER BY position;
