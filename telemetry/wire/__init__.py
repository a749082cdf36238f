"""The OTLP wire format: decodes requests to rows, and encodes the responses."""
