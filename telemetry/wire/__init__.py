"""OTLP on the wire: decoding requests to rows, and the answers to them."""
