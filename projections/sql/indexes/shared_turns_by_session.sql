-- One fork.
CREATE INDEX shared_turns_by_session ON now.shared_turns (session_id);
