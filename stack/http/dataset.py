"""Datasets over HTTP, with their versions."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from litestar import Controller, Request
from litestar.response.base import ASGIResponse
from msgspec import Raw

from projections import dataset as dataset_views
from schemas.api.dataset import DatasetDiff, ListDatasetsResponse, RegisterDatasetRequest
from schemas.api.page import PaginatedResponse
from stack.errors import Invalid
from stack.http.answer import empty_answer, json_answer
from stack.http.as_of import as_of_in
from stack.http.body import caller_of, integer_of, page_of, path_of, post_of
from stack.http.endpoint import serves
from stack.http.leaving import until_disconnected
from stack.http.path import id_of
from stack.http.rows_body import read_rows
from stack.http.services import Services
from stack.services.requests.once import Prior

VERSIONS = "/versions"
DIFF = "/versions/diff"
SOURCE_KINDS = ("uri", "rows")
DIFF_ROWS = 1_000
"""Maximum number of rows in one page of a diff."""

_fields = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


class DatasetController(Controller):
    @serves("list_datasets")
    async def listing(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        as_of = await as_of_in(request, services)
        listed = await services.views.read(("dataset",), dataset_views.listing, as_of)
        return json_answer(ListDatasetsResponse(listed))

    @serves("register_dataset")
    async def register(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, blocks, body = await read_rows(
            request, services, RegisterDatasetRequest, ("source", "rows"), with_source_type
        )
        register = partial(services.datasets.register, data, blocks, caller_of(request))
        made = await until_disconnected(
            services.once.perform(post_of(request, body), register), request.receive
        )
        dataset_id = made.ids["dataset"] if isinstance(made, Prior) else made
        return json_answer(await services.datasets.show(dataset_id))

    @serves("get_dataset")
    async def show(
        self, request: Request[Any, Any, Any], dataset_id: str, services: Services
    ) -> ASGIResponse:
        """Returns a dataset; with a path after its id its versions, or the difference between two of them."""
        name = id_of(dataset_id)
        if name.endswith(DIFF):
            return await _diff(request, name.removesuffix(DIFF), services)
        if name.endswith(VERSIONS):
            return await _versions(request, name.removesuffix(VERSIONS), services)
        return json_answer(await services.datasets.show(name, await as_of_in(request, services)))

    @serves("unregister_dataset")
    async def unregister(
        self, request: Request[Any, Any, Any], dataset_id: str, services: Services
    ) -> ASGIResponse:
        await services.datasets.unregister(id_of(dataset_id), caller_of(request))
        return empty_answer()


def with_source_type(body: bytes) -> bytes:
    """Adds the `type` of the source to the body of a registration; it is implied by the source's only key.
    Raises Invalid for a source with both keys or neither; other errors are reported when the body is
    decoded."""
    try:
        fields = _fields.decode(body)
        given = _fields.decode(fields.get("source", b""))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    source = {name: value for name, value in given.items() if bytes(value) != b"null"}
    if "type" not in source:
        kinds = [kind for kind in SOURCE_KINDS if kind in source]
        if len(kinds) != 1:
            problem = "has both uri and rows" if kinds else "has neither uri nor rows"
            raise Invalid(f"source {problem}; give it one of them.")
        source["type"] = Raw(b'"%b"' % kinds[0].encode())
    if source == given:
        return body
    return _encode(fields | {"source": Raw(_encode(source))})


async def _versions(request: Request[Any, Any, Any], dataset_id: str, services: Services) -> ASGIResponse:
    start, limit = page_of(request)
    as_of, max_bytes = await as_of_in(request, services), services.settings.max_page_bytes
    await services.datasets.version(dataset_id, as_of=as_of)
    data, has_more = await services.views.read(
        ("dataset",), dataset_views.versions_page, dataset_id, start, limit, max_bytes, as_of
    )
    return json_answer(PaginatedResponse(data, has_more, path_of(request)))


async def _diff(request: Request[Any, Any, Any], dataset_id: str, services: Services) -> ASGIResponse:
    start, limit = page_of(request)
    as_of = await as_of_in(request, services)
    newest, _ = await services.datasets.version(dataset_id, as_of=as_of)
    to_version, rows_to = await services.datasets.version(
        dataset_id, integer_of(request, "to", newest), as_of
    )
    before = integer_of(request, "from", -1)
    if before < 0:
        raise Invalid("from: name the version to compare with; `versions` lists them.")
    from_version, rows_from = await services.datasets.version(dataset_id, before, as_of)
    if from_version > to_version:
        raise Invalid(f"from is {from_version} and to is {to_version}; from must not be the later version.")
    count = min(DIFF_ROWS, limit if limit is not None else DIFF_ROWS)
    first = min(rows_from + start, rows_to)
    rows = await services.datasets.rows(
        dataset_id, to_version, first, min(count, rows_to - first), services.settings.max_page_bytes
    )
    return json_answer(
        DatasetDiff(
            from_version=from_version,
            to_version=to_version,
            first_row=rows_from,
            rows_added=rows_to - rows_from,
            data=[Raw(row) for row in rows],
            has_more=first + len(rows) < rows_to,
            url=path_of(request),
        )
    )
