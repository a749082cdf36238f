"""The read side: one DuckDB instance, an engine that applies the log to it, and the read models."""
