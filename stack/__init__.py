"""The application: domain, event store, providers, services, HTTP, commands."""
