"""Routes handlers by operation id: the method and path of an operation are written once, in
`stack/http/spec`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler

from stack.http.spec.document import OPERATIONS

Handler = Callable[..., Any]

_OPERATIONS = {operation.id: operation for operation in OPERATIONS}
_METHODS: dict[str, Callable[..., Callable[[Handler], HTTPRouteHandler]]] = {
    "get": get,
    "post": post,
    "delete": delete,
}
# Path parameters that may contain slashes. Those of benchmarks are escaped before routing.
_WITH_SLASHES = frozenset(
    (
        "dataset_id",
        "erased_id",
        "identifier",
        "metric_name",
        "model_id",
        "provider_id",
        "scoring_fn_id",
        "tool_name",
        "toolgroup_id",
        "vector_db_id",
    )
)


def serves(*operation_ids: str) -> Callable[[Handler], HTTPRouteHandler]:
    """Routes the operations, all with the same method, to a handler, under the router of their API
    version."""
    operations = [_OPERATIONS[one] for one in operation_ids]
    [method] = {operation.method for operation in operations}
    return _METHODS[method]([_route(operation.path) for operation in operations], status_code=200)


def _route(path: str) -> str:
    """Converts a path of the description to Litestar's syntax, without the API version."""
    _, _, route = path[1:].partition("/")
    return "/" + re.sub(r"{(\w+)}", lambda name: f"{{{name[1]}:{_converter(name[1])}}}", route)


def _converter(parameter: str) -> str:
    return "path" if parameter in _WITH_SLASHES else "str"
