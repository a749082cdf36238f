"""The application: domain, event store, providers, services, HTTP, commands.

Every worker process imports this package: nothing is imported here.
"""
