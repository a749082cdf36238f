CREATE INDEX call_changes_by_turn ON now.call_changes (turn_id);
