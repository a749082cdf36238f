-- on: benchmark.registered
-- A registered benchmark becomes a row.
INSERT INTO now.benchmarks BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS benchmark_id,
    e.dataset_id AS dataset_id,
    e.scoring_functions AS scoring_functions,
    e.actor AS actor,
    e.trace_id AS trace_id,
    state AS event
FROM (
    SELECT
        position,
        recorded_at,
        id,
        state,
        json_transform(
            state,
            '{"dataset_id": "VARCHAR", "scoring_functions": ["VARCHAR"], "actor": "VARCHAR", "trace_id": "VARCHAR"}'
        ) AS e
    FROM batch
    WHERE name = 'benchmark.registered'
);
