-- One row per row of a dataset, as far as the tables hold them: rows of changes that begin before row 100, and of a change
-- whose rows are stored apart only the first ones, at most 100 and 64 KiB.
--   dataset_id | VARCHAR | | Id of the dataset.
--   row_number | BIGINT | | Number of the row in the dataset, from 0, as in eval_results.
--   version | INTEGER | | Version of the dataset that added the row.
--   row | JSON | | The row: an object. Fractions with more than 17 digits are rounded. Texts above 256 KiB are markers.
--   added_at | TIMESTAMP | UTC | When the row was added.

WITH changes AS (
    SELECT
        dataset_id,
        version,
        recorded_at,
        first_row,
        chunk_counts,
        chunk_blobs,
        event
    FROM views.dataset_changes
    WHERE event IS NOT NULL
),

chunks AS (
    SELECT
        dataset_id,
        version,
        recorded_at,
        first_row + coalesce(list_sum(chunk_counts[:number - 1]), 0)::BIGINT AS first_row,
        from_json(event -> ('$.chunks[' || (number - 1) || '].rows'), '["JSON"]') AS rows
    FROM (
        SELECT
            *,
            unnest(range(1, len(chunk_counts) + 1)) AS number
        FROM changes
    )
    WHERE chunk_blobs[number] = ''
    UNION ALL
    SELECT
        dataset_id,
        version,
        recorded_at,
        first_row,
        from_json(event -> '$.head', '["JSON"]')
    FROM changes
    WHERE chunk_blobs[1] <> ''
)

SELECT
    dataset_id,
    first_row + generate_subscripts(rows, 1) - 1 AS row_number,
    version,
    unnest(rows) AS row,
    recorded_at AS added_at
FROM chunks;
