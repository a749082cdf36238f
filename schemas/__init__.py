"""Contracts: wire types, event payloads and their upcasts. Plain msgspec Structs, no logic, no I/O."""
