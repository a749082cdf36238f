-- A session of 200 turns scattered over a log of 480,000 events: 6.5 ms instead of 53 ms.
CREATE INDEX turn_changes_by_session ON now.turn_changes (session_id);
