-- A span that lies anywhere is read by itself, and not with the 2,048 that lie around it: 45 of 2 million in 16 ms and not 60.
CREATE INDEX spans_stored_by_number ON now.spans_stored (number);
