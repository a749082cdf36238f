-- The number of effects whose outcome is unknown.
SELECT count(*)
FROM now.tool_calls
WHERE status = 'unknown' AND key IS NOT NULL;
