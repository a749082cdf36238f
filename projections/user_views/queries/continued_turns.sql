-- Turns that were restarted after a crash or a shutdown, that continued after waiting, or in which steps failed.

SELECT
    turn_id,
    session_id,
    agent_id,
    status,
    attempts - 1 AS restarts,
    resumes,
    failed_steps,
    started_at,
    duration_ms
FROM turns
WHERE attempts > 1 OR resumes > 0 OR failed_steps > 0
ORDER BY position DESC;
