-- on: dataset.unregistered
-- The tombstone of a dataset.
INSERT INTO now.dataset_deletions BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS dataset_id,
    state ->> '$.actor' AS actor,
    state ->> '$.trace_id' AS trace_id
FROM batch
WHERE name = 'dataset.unregistered';
