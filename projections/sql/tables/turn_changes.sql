-- All that happened to turns, one row per event, in the order of the log. Times are UTC.
--   change      started, restarted, awaiting_input, resumed, completed, failed, cancelled, abandoned,
--               step_started, step_completed, step_failed
--   agent_id    of started, and of steps that ended; as agent_version
--   model       of steps that started or ended
--   cached_tokens  those of input_tokens that were read from a cache
--   has_input_shields  of started only
--   call_count  calls that a completed inference asks for; NULL for none
--   first_chunk_ms  of a step that ended: from its start to the first chunk of the answer
--   version     number of the event in its stream
--   copied_at   when the event was recorded, of one that occurred before (recorded_at): a fork in the middle of a turn, or an
--               import, copied it; NULL for all others
--   is_kept     TRUE in the first row of a turn whose session was deleted, and which other sessions share
--   event       the recorded event itself: messages, outputs, parameters, errors, traces. Not with zstd, which
--               is half the size and makes a session of 200 turns take 160 ms instead of 14 ms
CREATE TABLE now.turn_changes (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    turn_id VARCHAR NOT NULL,
    change VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    agent_id VARCHAR CHECK (agent_id IS NOT NULL OR change <> 'started'),
    step_id VARCHAR,
    step_type VARCHAR,
    model VARCHAR,
    input_tokens BIGINT,
    output_tokens BIGINT,
    error_status INTEGER,
    actor VARCHAR,
    trace_id VARCHAR,
    is_kept BOOLEAN,
    agent_version INTEGER,
    cached_tokens BIGINT,
    has_input_shields BOOLEAN,
    call_count INTEGER,
    first_chunk_ms BIGINT,
    version INTEGER NOT NULL,
    copied_at TIMESTAMP,
    event JSON NOT NULL
);
