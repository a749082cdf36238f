"""The machinery of the read side: one DuckDB instance, builds that follow a log, transactions, plans."""
