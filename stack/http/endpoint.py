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
    """Routes the operations, all with the same method, to a handler: at their own paths, and under `/v1` where the
    Llama Stack API had them later. Full paths and no routers: Litestar copies everything below a router, which
    doubled the time and memory of registering handlers."""
    operations = [_OPERATIONS[one] for one in operation_ids]
    [method] = {operation.method for operation in operations}
    routes = [route for operation in operations for route in _routes(operation.path)]
    return _METHODS[method](routes, status_code=200)


def _routes(path: str) -> list[str]:
    """Converts a path of the description to Litestar's syntax, one for each API version that has it."""
    version, _, path = path[1:].partition("/")
    route = re.sub(r"{(\w+)}", lambda name: f"{{{name[1]}:{_converter(name[1])}}}", path)
    also = ("v1",) if version.startswith("v1") else ()
    routes = [f"/{one}/{route}" for one in dict.fromkeys((version, *also))]
    # Later clients call these without a version.
    return [*routes, f"/{route}"] if route.startswith("post-training/jobs/") else routes


def _converter(parameter: str) -> str:
    return "path" if parameter in _WITH_SLASHES else "str"
