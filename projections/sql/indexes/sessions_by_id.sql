-- One session.
CREATE INDEX sessions_by_id ON now.sessions (session_id);
