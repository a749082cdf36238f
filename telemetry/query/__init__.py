"""Queries of telemetry without the database: what a request asks for, trees of spans, series of metrics. Pure."""
