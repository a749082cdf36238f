-- on: benchmark.unregistered.1
-- The same for the rows of the jobs.
DELETE FROM now.evaljob_rows
USING batch
WHERE
    batch.name = 'benchmark.unregistered.1'
    AND batch.id = evaljob_rows.benchmark_id
    AND batch.position > evaljob_rows.position;
