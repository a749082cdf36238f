-- One row per id that was deleted: its last deletion, and what that removed from the log. Nothing of its content is kept.
--   kind        agent, session, dataset or benchmark
--   agent_id    the agent of a session
--   kept        turns of a session whose content stays, because other sessions share them
--   freed       turns of other sessions, which this one was the last to share: their content was removed
--   events, blobs, turns, jobs  how many lost their content; NULL where a deletion of the first version does not say
CREATE TABLE now.erasures (
    position BIGINT NOT NULL,
    recorded_us BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    agent_id VARCHAR,
    events BIGINT,
    blobs BIGINT,
    turns BIGINT,
    jobs BIGINT,
    kept VARCHAR[],
    freed VARCHAR[]
);
