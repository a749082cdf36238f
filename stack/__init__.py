"""The application: domain, event store, providers, services, HTTP, commands.

Every worker process imports this package, so it imports nothing itself.
"""
