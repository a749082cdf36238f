-- One row per dataset that exists, in its newest version.
--   dataset_id | VARCHAR | | Id of the dataset.
--   purpose | VARCHAR | | What it is for, such as eval/question-answer.
--   provider_id | VARCHAR | | Provider that reads its source.
--   uri | VARCHAR | | Where its rows came from; NULL if they were sent with the request.
--   metadata | JSON | | Metadata that was sent: an object.
--   row_count | BIGINT | rows | Rows of the newest version.
--   version | INTEGER | | Number of the newest version. Each change makes one.
--   created_at | TIMESTAMP | UTC | When it was registered.
--   changed_at | TIMESTAMP | UTC | When the newest version was recorded.
--   created_by | VARCHAR | | Name of the API key that registered it; NULL without keys.
--   trace_id | VARCHAR | | Trace of the request that registered it, 32 hex digits; NULL without one.

SELECT
    dataset_id,
    any_value(event ->> '$.purpose') FILTER (WHERE change = 'registered') AS purpose,
    any_value(event ->> '$.provider_id') FILTER (WHERE change = 'registered') AS provider_id,
    any_value(nullif(event ->> '$.uri', '')) FILTER (WHERE change = 'registered') AS uri,
    any_value(event -> '$.metadata') FILTER (WHERE change = 'registered') AS metadata,
    sum(row_count)::BIGINT AS row_count,
    max(version) AS version,
    min(recorded_at) AS created_at,
    max(recorded_at) AS changed_at,
    any_value(nullif(actor, '')) FILTER (WHERE change = 'registered') AS created_by,
    any_value(nullif(trace_id, '')) FILTER (WHERE change = 'registered') AS trace_id
FROM views.dataset_changes
GROUP BY dataset_id
HAVING bool_or(change = 'registered');
