"""Description of datasets and their rows."""

from __future__ import annotations

from typing import Any

from schemas.api.dataset import (
    Dataset,
    DatasetDiff,
    DatasetVersion,
    DataSource,
    ListDatasetsResponse,
    RegisterDatasetRequest,
    RowsDataSource,
)
from schemas.api.datasetio import AppendRowsRequest
from schemas.api.page import PaginatedResponse
from stack.http.spec.components import ANY_OBJECT, PREFIX, Details, Schema
from stack.http.spec.operation import AS_OF, PAGE, Operation, Parameter

TAG = "Datasets"

RESOURCES = (
    "model",
    "shield",
    "vector_db",
    "dataset",
    "scoring_function",
    "benchmark",
    "tool",
    "tool_group",
    "prompt",
)
"""All values of the `type` of a registered resource."""

_ROWS: Schema = {"type": "array", "items": ANY_OBJECT}
# The contract repeats the union here, although it has a name for it.
_SOURCE: Schema = {
    "oneOf": [{"$ref": PREFIX + "URIDataSource"}, {"$ref": PREFIX + "RowsDataSource"}],
    "discriminator": {
        "propertyName": "type",
        "mapping": {"uri": PREFIX + "URIDataSource", "rows": PREFIX + "RowsDataSource"},
    },
}


def resource_type(name: str) -> Schema:
    """Returns the schema of the `type` field of a registered resource."""
    return {"type": "string", "enum": list(RESOURCES), "const": name, "default": name}


DETAILS: dict[type, Details] = {
    RowsDataSource: Details(schemas={"rows": _ROWS}),
    AppendRowsRequest: Details(schemas={"rows": _ROWS}),
    DatasetDiff: Details(schemas={"data": _ROWS}),
    RegisterDatasetRequest: Details(schemas={"metadata": ANY_OBJECT}),
    Dataset: Details(
        required=frozenset(("type",)),
        optional=frozenset(("provider_resource_id",)),
        schemas={"type": resource_type("dataset"), "source": _SOURCE, "metadata": ANY_OBJECT},
    ),
}

NAMED: list[tuple[str, Any, Schema | None]] = [("DataSource", DataSource, None)]

_DATASETS = "/v1beta/datasets"
_DATASET = _DATASETS + "/{dataset_id}"
_IO = "/v1beta/datasetio"
_WITHOUT_A_BODY = "The answer has no body."

OPERATIONS = (
    Operation(
        method="get",
        path=_DATASETS,
        id="list_datasets",
        tag=TAG,
        summary="List datasets, oldest first, each with a few of its rows.",
        parameters=(AS_OF,),
        answer=ListDatasetsResponse,
        says="All datasets.",
    ),
    Operation(
        method="post",
        path=_DATASETS,
        id="register_dataset",
        tag=TAG,
        summary="Register a dataset.",
        description="Reads the rows at once: from the request, or from its URI. The same dataset again under "
        "the same id changes nothing; another one is refused.",
        body=RegisterDatasetRequest,
        answer=Dataset,
        says="The dataset.",
    ),
    Operation(
        method="get",
        path=_DATASET,
        id="get_dataset",
        tag=TAG,
        summary="Read a dataset, with its first 100 rows if it was made from rows.",
        parameters=(AS_OF,),
        answer=Dataset,
        says="The dataset.",
    ),
    Operation(
        method="delete",
        path=_DATASET,
        id="unregister_dataset",
        tag=TAG,
        summary="Remove a dataset and all its rows.",
        says=_WITHOUT_A_BODY,
    ),
    Operation(
        method="get",
        path=_DATASET + "/versions",
        id="list_dataset_versions",
        tag=TAG,
        summary="List the versions of a dataset: each change makes one.",
        description="Not part of the Llama Stack specification. Every version since the dataset was registered can be read.",
        parameters=(*PAGE, AS_OF),
        answer=PaginatedResponse,
        says=f"A page of versions ({', '.join(DatasetVersion.__struct_fields__)}).",
    ),
    Operation(
        method="get",
        path=_DATASET + "/versions/diff",
        id="compare_dataset_versions",
        tag=TAG,
        summary="Read what came between two versions of a dataset.",
        description="Not part of the Llama Stack specification. Shows at most 1,000 of the rows; `start_index` passes over some.",
        parameters=(
            Parameter(name="from", kind=int, description="The earlier version."),
            Parameter(name="to", kind=int, description="The later version; the newest where absent."),
            *PAGE,
            AS_OF,
        ),
        answer=DatasetDiff,
        says="How many rows came, and a page of them.",
    ),
    Operation(
        method="post",
        path=_IO + "/append-rows/{dataset_id}",
        id="append_rows",
        tag=TAG,
        summary="Add rows to a dataset: all of them, or none.",
        body=AppendRowsRequest,
        says=_WITHOUT_A_BODY,
    ),
    Operation(
        method="get",
        path=_IO + "/iterrows/{dataset_id}",
        id="iterate_rows",
        tag=TAG,
        summary="Read rows of a dataset, in order.",
        description="The header `x-dataset-version` says of which version they are, `x-dataset-rows` how many it has.",
        parameters=(
            *PAGE,
            Parameter(
                name="version",
                kind=int,
                description="The rows of this version; of the newest where absent.",
                extension=True,
            ),
            AS_OF,
        ),
        answer=PaginatedResponse,
        says="A page of rows.",
    ),
)
