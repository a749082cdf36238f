-- Deletions whose content may still be in some file, oldest first.
SELECT
    kind,
    id,
    position,
    recorded_us,
    freed
FROM now.erasures
WHERE position > coalesce((SELECT max(until) FROM now.erasure_runs), 0)
ORDER BY position;
