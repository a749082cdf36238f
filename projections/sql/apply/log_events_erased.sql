-- on: agent.deleted, session.deleted, dataset.unregistered, benchmark.unregistered
-- The log has lost the content of what was deleted, up to the deletion; its id may have been used again after it.
UPDATE now.log_events
SET event = NULL, is_erased = TRUE
FROM (
    SELECT
        position,
        split_part(name, '.', 1) || '/' || id AS stream
    FROM batch
    WHERE name IN ('agent.deleted', 'session.deleted', 'dataset.unregistered', 'benchmark.unregistered')
) AS deletion
WHERE
    log_events.stream = deletion.stream
    AND log_events.position < deletion.position
    AND NOT log_events.is_erased;
