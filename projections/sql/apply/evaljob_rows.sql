-- on: evaljob.row_evaluated
-- An evaluated row becomes a row.
INSERT INTO now.evaljob_rows BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    regexp_extract(id, '^(.*)/[^/]*$', 1) AS benchmark_id,
    split_part(id, '/', -1) AS job_id,
    e[1]::BIGINT AS row_number,
    e[2] AS input_digest,
    state -> '$.generation' AS generation,
    state -> '$.scores' AS scores,
    e[3] IS NOT NULL AS failed,
    e[3]::INTEGER AS error_status,
    e[4] AS error_detail,
    e[5]::INTEGER AS attempts,
    e[6]::BIGINT AS duration_ms,
    e[7]::BIGINT AS input_tokens,
    e[8]::BIGINT AS output_tokens,
    e[9] AS session_id,
    e[10] AS turn_id
FROM (
    SELECT
        position,
        recorded_at,
        id,
        state,
        state ->> [
            '$.row', '$.input_digest', '$.error.status', '$.error.detail', '$.attempts', '$.duration_ms',
            '$.usage.input_tokens', '$.usage.output_tokens', '$.session_id', '$.turn_id'
        ] AS e
    FROM batch
    WHERE name = 'evaljob.row_evaluated'
);
