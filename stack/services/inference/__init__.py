"""Requests that are passed through to model providers."""
