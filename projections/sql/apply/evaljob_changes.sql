-- on: evaljob.scheduled.1, evaljob.started.1, evaljob.cancel_requested.1, evaljob.completed.1, evaljob.failed.1, evaljob.cancelled.1
-- Every event of a job that is not about one row becomes a row. The rows that came with a request are left out.
INSERT INTO now.evaljob_changes BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    regexp_extract(id, '^(.*)/[^/]*$', 1) AS benchmark_id,
    split_part(id, '/', -1) AS job_id,
    substr(name, 9, length(name) - 10) AS change,
    e[1] AS actor,
    e[2] AS trace_id,
    CASE WHEN name = 'evaljob.scheduled.1' THEN json_merge_patch(state, '{"rows": null}') ELSE state END AS event
FROM (
    SELECT
        position,
        recorded_at,
        id,
        name,
        state,
        state ->> ['$.actor', '$.trace_id'] AS e
    FROM batch
    WHERE name LIKE 'evaljob.%' AND name <> 'evaljob.row_evaluated.1'
);
