-- All that happened to calls of server-side tools, one row per event, in the order of the log. Times are UTC.
--   change      tool_called, tool_returned, tool_suspended, input_requested, input_received, effect_settled
--   key         of tool_called only: identifies the effect; the views have it for all rows of a call. NULL for a call that
--               was copied from another turn or log, whose effect it was
--   request_id  of input_requested and input_received: the approval or the question
--   version, copied_at  as in turn_changes
--   parent      of tool_called: the call whose code made this one
--   event       the recorded event itself: arguments, results, reasons
CREATE TABLE now.call_changes (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    session_id VARCHAR NOT NULL,
    turn_id VARCHAR NOT NULL,
    call_id VARCHAR NOT NULL,
    change VARCHAR NOT NULL,
    key VARCHAR,
    request_id VARCHAR,
    status VARCHAR,
    tool_name VARCHAR,
    toolgroup VARCHAR,
    actor VARCHAR,
    trace_id VARCHAR,
    parent VARCHAR,
    version INTEGER NOT NULL,
    copied_at TIMESTAMP,
    event JSON NOT NULL
);
