-- on: benchmark.unregistered
-- Nothing of its jobs stays, nor of their rows; its id may have been registered again behind the tombstone.
DELETE FROM now.evaljob_changes
USING batch
WHERE
    batch.name = 'benchmark.unregistered'
    AND batch.id = evaljob_changes.benchmark_id
    AND batch.position > evaljob_changes.position;
