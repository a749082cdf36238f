-- job_id, agent_id ('' for none) of all jobs of a benchmark and of the rows that came with requests.
SELECT
    job_id,
    coalesce(event ->> '$.agent_id', '')
FROM now.evaljob_changes
WHERE benchmark_id = $benchmark_id AND change = 'scheduled';
