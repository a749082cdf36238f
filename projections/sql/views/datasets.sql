-- One row per dataset as it stands now: where its rows came from, how many there are, which version it is.
CREATE VIEW now.datasets AS
SELECT
    dataset_id,
    any_value(event ->> '$.purpose') FILTER (change = 'registered') AS purpose,
    any_value(event ->> '$.provider_id') FILTER (change = 'registered') AS provider_id,
    any_value(event ->> '$.uri') FILTER (change = 'registered') AS uri,
    any_value(event -> '$.metadata') FILTER (change = 'registered') AS metadata,
    sum(row_count)::BIGINT AS row_count,
    max(version) AS version,
    min(recorded_at) AS registered_at,
    max(recorded_at) AS changed_at,
    any_value(actor) FILTER (change = 'registered') AS actor,
    any_value(trace_id) FILTER (change = 'registered') AS trace_id,
    max(position) AS position
FROM now.dataset_changes
GROUP BY dataset_id;
