-- turn_id of each turn that a session shares, although the session that recorded it is pending erasure.
SELECT DISTINCT r.turn_id
FROM now.shared_turns AS r
INNER JOIN now.turn_changes AS t ON r.turn_id = t.turn_id AND t.change = 'started'
INNER JOIN now.erasures AS e ON t.session_id = e.id AND e.kind = 'session'
WHERE e.position > coalesce((SELECT max(until) FROM now.erasure_runs), 0);
