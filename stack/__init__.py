"""The application: domain, event store, providers, services, HTTP, commands."""

from importlib.metadata import version

VERSION = version("replaystack")
