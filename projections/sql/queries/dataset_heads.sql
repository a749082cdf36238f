-- dataset_id, event: the changes that can hold some of the first 100 rows, in the order of registration.
SELECT
    dataset_id,
    event
FROM now.dataset_changes
WHERE event IS NOT NULL AND position <= $as_of
ORDER BY min(position) OVER (PARTITION BY dataset_id), position;
