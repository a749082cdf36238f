-- Those of these ids that decisions have, which are unique on a server.
SELECT DISTINCT request_id
FROM now.call_changes
WHERE
    change = 'input_requested'
    AND list_contains($ids, request_id)
ORDER BY request_id;
