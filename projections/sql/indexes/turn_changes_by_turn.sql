-- One turn of 100,000: 1.1 ms instead of 4.4 ms.
CREATE INDEX turn_changes_by_turn ON now.turn_changes (turn_id);
