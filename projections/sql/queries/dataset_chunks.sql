-- version, first_row, row_count, chunk_counts, chunk_blobs of each change behind a version, in order.
SELECT
    version,
    first_row,
    row_count,
    chunk_counts,
    chunk_blobs
FROM now.dataset_changes
WHERE dataset_id = $dataset_id AND version > $after
ORDER BY version;
