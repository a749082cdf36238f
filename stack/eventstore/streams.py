"""Names of streams: `<tenant>/<category>/<id>`."""

from __future__ import annotations

DEFAULT_TENANT = "default"


def stream_name(category: str, id: str, tenant: str = DEFAULT_TENANT) -> str:
    """`id` may contain slashes; `tenant` and `category` must not, and none of the three may be empty."""
    if not tenant or "/" in tenant or not category or "/" in category or not id:
        raise ValueError(f"no stream can be named by tenant {tenant!r}, category {category!r} and id {id!r}")
    return f"{tenant}/{category}/{id}"


def split_stream(stream: str) -> tuple[str, str, str]:
    """Returns the tenant, category and id of a stream. Raises ValueError if it is not a stream's name."""
    tenant, _, rest = stream.partition("/")
    category, _, id = rest.partition("/")
    if not tenant or not category or not id:
        raise ValueError(f"{stream!r} is not <tenant>/<category>/<id>")
    return tenant, category, id


def category_of(stream: str) -> str:
    """Returns the category, or "" if the name has none."""
    parts = stream.split("/", 2)
    return parts[1] if len(parts) == 3 else ""
