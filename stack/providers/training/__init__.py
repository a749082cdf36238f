"""Training: a worker process in an interpreter of its own, which the server starts, follows and ends.

The modules that the worker imports (`protocol`, and what it imports) need msgspec and nothing else of the
server's dependencies.
"""
