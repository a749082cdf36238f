-- dataset_id, event: the changes that can hold some of the first 100 rows, in the order of registration. Of each
-- dataset no more than hold the 64 KiB that a list shows.
SELECT
    dataset_id,
    event
FROM now.dataset_changes
WHERE event IS NOT NULL AND position <= $as_of
QUALIFY
    bool_or(change = 'registered') OVER (PARTITION BY dataset_id)
    AND coalesce(
        sum(strlen(event)) OVER (
            PARTITION BY dataset_id ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ),
        0
    ) < 65536
ORDER BY min(position) OVER (PARTITION BY dataset_id), position;
