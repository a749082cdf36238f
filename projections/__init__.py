"""The read side: one DuckDB instance, an engine that applies a log to it, and the read models."""
