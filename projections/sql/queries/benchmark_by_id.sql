-- benchmark_id, event.
SELECT
    benchmark_id,
    event
FROM now.benchmarks
WHERE benchmark_id = $benchmark_id AND position <= $as_of;
