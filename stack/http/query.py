"""Refuses unknown query parameters, like unknown fields of a body, and repeated ones of which only one value would be
used."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any, get_origin

from litestar import Request
from litestar.datastructures import MultiDict

from stack.domain.near import nearest
from stack.errors import Invalid
from stack.http.otlp import PATHS as OTLP_PATHS
from stack.http.otlp import unknown_query
from stack.http.page import is_of_page
from stack.http.spec.document import OPERATIONS

# One route serves a dataset and, after its id, its versions.
_DATASET_SUFFIXES = ("/versions/diff", "/versions")
_SHOWN = 5


async def check_query(request: Request[Any, Any, Any]) -> Any:
    """Called before every handler. Raises Invalid; the receiver of telemetry responds in its own format."""
    if not request.scope["query_string"] or is_of_page(request.scope["path"]):
        return None
    known = _known(request.method.lower(), _template(request))
    problem = _problem(request.query_params, known)
    if not problem:
        return None
    if request.scope["path"] in OTLP_PATHS:
        return await unknown_query(request, problem)
    raise Invalid(problem)


def _problem(given: MultiDict[str], known: Mapping[str, bool]) -> str:
    """Returns the problem of the first invalid parameter; "" if there is none."""
    for name in given:
        if name not in known:
            return _unknown(name, known)
        if not known[name] and (times := len(given.getall(name))) > 1:
            return f"{name!r} is given {times} times; give it once."
    return ""


def _unknown(name: str, known: Collection[str]) -> str:
    told = f"{name[:100]!r} is not a known query parameter"
    if near := nearest(name, sorted(known)):
        return f"{told}; did you mean `{near}`? Leave it out otherwise."
    if known:
        return f"{told}; leave it out. Known here: {', '.join(sorted(known))}."
    return f"{told}; leave it out. There are none here."


def _template(request: Request[Any, Any, Any]) -> str:
    template = str(request.scope["path_template"])
    if template.endswith("/datasets/{dataset_id}"):
        path = request.scope["path"].rstrip("/")
        template += next((one for one in _DATASET_SUFFIXES if path.endswith(one)), "")
    return template


@functools.cache
def _known(method: str, template: str) -> Mapping[str, bool]:
    """Returns the query parameters of an operation from the API's description, and whether each is a list; none for
    undescribed operations."""
    older = template.removeprefix("/v1/")
    templates = (template, f"/v1alpha/{older}", f"/v1beta/{older}")
    for operation in OPERATIONS:
        if operation.method == method and operation.path in templates:
            queries = [one for one in operation.parameters if one.place == "query"]
            return {one.name: get_origin(one.kind) is list for one in queries}
    return {}
