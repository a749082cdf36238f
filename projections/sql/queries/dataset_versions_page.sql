-- version, change, microseconds, first_row, row_count, actor, version of each version, in order.
SELECT
    version,
    change,
    epoch_us(recorded_at),
    first_row,
    row_count,
    actor,
    version
FROM now.dataset_changes
WHERE dataset_id = $dataset_id AND version > $after AND position <= $as_of
ORDER BY version
LIMIT $row_count OFFSET $start_index;
