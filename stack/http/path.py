"""Ids in paths that may contain slashes, such as those of models."""

from __future__ import annotations

from urllib.parse import quote, unquote

SERVICES, OPERATIONS = "/jaeger/api/services/", "/operations"


def id_of(rest: str) -> str:
    """Returns the id in the rest of a path."""
    return rest.removeprefix("/")


def with_one_part(path: str) -> str:
    """Returns a path of a service's operations with the service as one part, which `part_of` decodes: Litestar accepts
    slashes only at the end of a path."""
    if not (path.startswith(SERVICES) and path.endswith(OPERATIONS)):
        return path
    service = path[len(SERVICES) : -len(OPERATIONS)]
    return f"{SERVICES}{quote(service, safe='')}{OPERATIONS}"


def part_of(path: str) -> str:
    """Returns what a part of the path encodes."""
    return unquote(path)
