-- on: dataset.registered, dataset.rows_appended
-- Each change of a dataset becomes a row. The rows stay in the log: JSON here would not keep every digit.
INSERT INTO now.dataset_changes BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS dataset_id,
    version,
    substr(name, 9) AS change,
    coalesce(e.first_row, 0) AS first_row,
    e.row_count AS row_count,
    list_transform(e.chunks, lambda chunk: chunk.count) AS chunk_counts,
    list_transform(e.chunks, lambda chunk: chunk.blob) AS chunk_blobs,
    e.actor AS actor,
    e.trace_id AS trace_id,
    CASE WHEN coalesce(e.first_row, 0) < 100 THEN state END AS event
FROM (
    SELECT
        position,
        recorded_at,
        id,
        version,
        name,
        state,
        json_transform(
            state,
            '{"first_row": "BIGINT", "row_count": "BIGINT", "chunks": [{"count": "BIGINT", "blob": "VARCHAR"}],
              "actor": "VARCHAR", "trace_id": "VARCHAR"}'
        ) AS e
    FROM batch
    WHERE name IN ('dataset.registered', 'dataset.rows_appended')
);
