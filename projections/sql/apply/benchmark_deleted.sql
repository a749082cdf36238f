-- on: benchmark.unregistered
-- Nothing of a benchmark stays that came before its tombstone; its id may have been registered again behind it.
DELETE FROM now.benchmarks
USING batch
WHERE
    batch.name = 'benchmark.unregistered'
    AND batch.id = benchmarks.benchmark_id
    AND batch.position > benchmarks.position;
