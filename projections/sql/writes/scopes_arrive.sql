-- Puts the scopes of `arriving` into the store that are not there yet.
INSERT INTO now.telemetry_scopes BY NAME
SELECT
    scope_id,
    any_value(name) AS name,
    nullif(any_value(version), '') AS version,
    nullif(any_value(attributes), '') AS attributes,
    nullif(any_value(schema_url), '') AS schema_url,
    any_value(dropped) AS dropped_attributes
FROM arriving
WHERE scope_id NOT IN (SELECT scope_id FROM now.telemetry_scopes)
GROUP BY scope_id;
