"""The named queries of `replaystack sql`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click


def print_queries() -> None:
    """Prints the named queries with their parameters."""
    from projections.user_views.queries import user_queries

    for query in user_queries().values():
        click.echo(f"{query.name}\n  {query.description}")
        for one in query.parameters:
            default = "required" if one.default is None else f"default {one.default}"
            unit = f", {one.unit}" if one.unit else ""
            click.echo(f"  --param {one.name}={one.type} ({default}{unit}): {one.description}")


def named_query(name: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns a named query and the values of its parameters: those given, and defaults. Raises NotFound for an unknown
    name, Invalid for its parameters."""
    from projections.user_views.queries import user_queries
    from stack.domain.near import nearest
    from stack.errors import Invalid, NotFound

    query = user_queries().get(name)
    if query is None:
        near = nearest(name, user_queries())
        hint = f" Did you mean {near!r}?" if near else ""
        raise NotFound(f"There is no query {name!r}.{hint} List them with --list.")
    known = {one.name: one.default for one in query.parameters}
    if unknown := sorted(given.keys() - known.keys()):
        raise Invalid(
            f"The query {name!r} has no parameter {unknown[0]!r}; it has: {', '.join(known) or 'none'}."
        )
    values = {**known, **given}
    if missing := [one for one, value in values.items() if value is None]:
        raise Invalid(f"The query {name!r} needs --param {missing[0]}=VALUE.")
    return query.sql, values
