-- The libraries that make telemetry. Attributes are JSON text, NULL where there are none.
CREATE TABLE now.telemetry_scopes (
    scope_id UBIGINT NOT NULL,
    name VARCHAR NOT NULL,
    version VARCHAR,
    attributes VARCHAR,
    schema_url VARCHAR,
    dropped_attributes UINTEGER NOT NULL DEFAULT 0
);
