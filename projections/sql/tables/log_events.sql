-- Events of the log: those that neither turn_changes nor call_changes has, and of all events whose content is gone what is
-- left of them.
--   stream       without the tenant
--   name         without a version
--   recorded_at  when it was recorded, UTC
--   occurred_at  when it occurred, of a copied event; NULL for all others
--   event        the recorded event itself; NULL if its content was erased
CREATE TABLE now.log_events (
    position BIGINT NOT NULL,
    stream VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    occurred_at TIMESTAMP,
    is_erased BOOLEAN NOT NULL,
    event JSON CHECK (is_erased = (event IS NULL))
);
