"""Description of requests to models that are passed through: their few known fields."""

from __future__ import annotations

from msgspec.structs import replace

from schemas.api.chat_completion import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    OpenAIError,
    OpenAIErrorResponse,
)
from schemas.api.completion import Completion, CompletionRequest
from schemas.api.embedding import Embeddings, EmbeddingsRequest
from stack.http.spec.components import ANY_OBJECT, Details
from stack.http.spec.operation import Operation

_LISTS = {"type": "array", "items": ANY_OBJECT}
_CODE = {"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}
_TEXT_OR_NULL = {"oneOf": [{"type": "string"}, {"type": "null"}]}

DETAILS: dict[type, Details] = {
    ChatCompletionRequest: Details(open=True, schemas={"messages": _LISTS}),
    ChatCompletion: Details(open=True, schemas={"choices": _LISTS}),
    ChatCompletionChunk: Details(open=True, schemas={"choices": _LISTS}),
    CompletionRequest: Details(open=True),
    Completion: Details(open=True, schemas={"choices": _LISTS}),
    EmbeddingsRequest: Details(open=True),
    Embeddings: Details(open=True, schemas={"data": _LISTS}),
    OpenAIError: Details(open=True, schemas={"code": _CODE, "param": _TEXT_OR_NULL}),
    OpenAIErrorResponse: Details(open=True),
}


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        *_passed(
            Operation(
                method="post",
                path="/v1/chat/completions",
                id="create_chat_completion",
                tag=tag,
                summary="Complete a chat in the OpenAI form.",
                body=ChatCompletionRequest,
                answer=ChatCompletion,
                frames=ChatCompletionChunk,
                says="The model's answer, in one piece or as server-sent events.",
            )
        ),
        *_passed(
            Operation(
                method="post",
                path="/v1/completions",
                id="create_completion",
                tag=tag,
                summary="Complete a text in the OpenAI form.",
                body=CompletionRequest,
                answer=Completion,
                frames=Completion,
                says="The model's answer, in one piece or as server-sent events.",
            )
        ),
        *_passed(
            Operation(
                method="post",
                path="/v1/embeddings",
                id="create_embeddings",
                tag=tag,
                summary="Embed texts in the OpenAI form.",
                body=EmbeddingsRequest,
                answer=Embeddings,
                says="The embeddings.",
            )
        ),
    )


def _passed(operation: Operation) -> tuple[Operation, Operation]:
    """Returns the operation at its own path, and at the one where older clients look for it."""
    described = replace(
        operation,
        description=(
            "Passed through to the provider that `model` names: the body is forwarded unchanged but for the model's name, "
            "and the answer comes back as it is, failures too. Nothing of it is recorded as an event; its span has "
            "the tokens. Failures have OpenAI's form."
        ),
        failures=OpenAIErrorResponse,
    )
    id = operation.id.replace("create_", "create_openai_")
    return described, replace(described, path=f"/v1/openai{operation.path}", id=id)
