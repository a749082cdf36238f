-- All that happened to turns, one row per change, appended in the order of the log. Times are UTC.
--   change      started, restarted, awaiting_input, resumed, completed, failed, cancelled, abandoned,
--               step_completed, step_failed, step_interrupted
--   started_at  start of what ended: of the step for step_*, of the turn for what ended it
--   content     input messages of started; the step's output (of a tool execution its
--               calls and responses) for step_*; the output message of an end and of awaiting_input
--   details     of started: documents, toolgroups, tool_config
CREATE TABLE now.turn_changes (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    turn_id VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    agent_id VARCHAR NOT NULL,
    change VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    content JSON CHECK (
        content IS NOT NULL
        OR change IN ('restarted', 'resumed', 'step_completed', 'step_failed', 'step_interrupted')
    ),
    step_id VARCHAR,
    step_type VARCHAR,
    attempt INTEGER,
    model VARCHAR,
    parameters JSON,
    request_digest VARCHAR,
    response_id VARCHAR,
    response_model VARCHAR,
    input_tokens BIGINT,
    output_tokens BIGINT,
    stream_trace JSON,
    error_status INTEGER,
    error_title VARCHAR,
    error_detail VARCHAR,
    reason VARCHAR,
    stream BOOLEAN,
    details JSON,
    owner_node VARCHAR,
    owner_boot VARCHAR,
    actor VARCHAR,
    trace_id VARCHAR
);
