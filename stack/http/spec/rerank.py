"""Description of reranking."""

from __future__ import annotations

from schemas.api.rerank import RerankRequest, RerankResponse
from stack.http.spec.components import Details
from stack.http.spec.operation import Operation

TAG = "Inference"

DETAILS: dict[type, Details] = {}

OPERATIONS = (
    Operation(
        method="post",
        path="/v1alpha/inference/rerank",
        id="rerank",
        tag=TAG,
        summary="Rerank a list of documents based on their relevance to a query.",
        description=(
            "`bm25` is built in and compares words; other models are those of the configured rerankers. GET /v1/models "
            "lists them with the `model_type` rerank. They read text: images are refused."
        ),
        body=RerankRequest,
        answer=RerankResponse,
        says="The indices of the items with their scores, sorted by relevance score (descending).",
    ),
)
