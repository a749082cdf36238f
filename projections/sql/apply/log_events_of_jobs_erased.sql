-- on: benchmark.unregistered
-- The same for the jobs of a benchmark.
UPDATE now.log_events
SET event = NULL, is_erased = TRUE
FROM batch
WHERE
    batch.name = 'benchmark.unregistered'
    AND starts_with(log_events.stream, 'evaljob/')
    AND batch.id = regexp_extract(log_events.stream, '^evaljob/(.*)/[^/]*$', 1)
    AND log_events.position < batch.position
    AND NOT log_events.is_erased;
