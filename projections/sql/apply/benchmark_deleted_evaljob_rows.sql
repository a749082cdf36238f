-- on: benchmark.unregistered
-- The same for the rows of the jobs.
DELETE FROM now.evaljob_rows
USING batch
WHERE
    batch.name = 'benchmark.unregistered'
    AND batch.id = evaljob_rows.benchmark_id
    AND batch.position > evaljob_rows.position;
