"""Providers: what does the work at the edge. One folder per kind, one module per provider."""
