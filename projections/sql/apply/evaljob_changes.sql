-- on: evaljob.scheduled, evaljob.started, evaljob.cancel_requested, evaljob.completed, evaljob.failed, evaljob.cancelled
-- Every event of a job that is not about one row becomes a row. The rows that came with a request are left out.
INSERT INTO now.evaljob_changes BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    regexp_extract(id, '^(.*)/[^/]*$', 1) AS benchmark_id,
    split_part(id, '/', -1) AS job_id,
    substr(name, 9) AS change,
    e[1] AS actor,
    e[2] AS trace_id,
    CASE WHEN name = 'evaljob.scheduled' THEN json_merge_patch(state, '{"rows": null}') ELSE state END AS event
FROM (
    SELECT
        position,
        recorded_at,
        id,
        name,
        state,
        state ->> ['$.actor', '$.trace_id'] AS e
    FROM batch
    WHERE name LIKE 'evaljob.%' AND name <> 'evaljob.row_evaluated'
);
