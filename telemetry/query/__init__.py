"""Queries of telemetry without the database: request parsing, trees of spans, series of metrics. Pure
functions."""
