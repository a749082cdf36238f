-- on: benchmark.unregistered
-- The tombstone of a benchmark.
INSERT INTO now.benchmark_deletions BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS benchmark_id,
    state ->> '$.actor' AS actor,
    state ->> '$.trace_id' AS trace_id
FROM batch
WHERE name = 'benchmark.unregistered';
