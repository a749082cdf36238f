-- How many rows the views have. With --as-of (`as_of` in a request) at an earlier time, such as last Tuesday at ten, how many they
-- had then; every other query can be asked so too.

SELECT 'agents' AS view, count(*) AS row_count, max(changed_at) AS newest_at FROM agents
UNION ALL
SELECT 'sessions', count(*), max(created_at) FROM sessions
UNION ALL
SELECT 'turns', count(*), max(started_at) FROM turns
UNION ALL
SELECT 'steps', count(*), max(started_at) FROM steps
UNION ALL
SELECT 'tool_calls', count(*), max(called_at) FROM tool_calls
UNION ALL
SELECT 'approvals', count(*), max(requested_at) FROM approvals
UNION ALL
SELECT 'datasets', count(*), max(changed_at) FROM datasets
UNION ALL
SELECT 'benchmarks', count(*), max(created_at) FROM benchmarks
UNION ALL
SELECT 'eval_jobs', count(*), max(created_at) FROM eval_jobs
UNION ALL
SELECT 'eval_results', count(*), max(evaluated_at) FROM eval_results
UNION ALL
SELECT 'events', count(*), max(recorded_at) FROM events
ORDER BY view;
