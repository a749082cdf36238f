"""Providers: access to external systems and embedded implementations. One folder per kind, one module per
provider."""
