-- version, change, microseconds, first_row, row_count, actor, version of each version, in order.
-- `OFFSET 0` keeps other conditions out of the scan: with more than one DuckDB reads the whole table, without its index.
SELECT
    version,
    change,
    epoch_us(recorded_at),
    first_row,
    row_count,
    actor,
    version
FROM (SELECT * FROM now.dataset_changes WHERE dataset_id = $dataset_id OFFSET 0)
WHERE version > $after AND position <= $as_of
ORDER BY version
LIMIT $row_count OFFSET $start_index;
