"""Request handling before the services: the caller, repetition, rates."""
