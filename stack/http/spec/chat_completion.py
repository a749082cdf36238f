"""Description of chat completions: the few known fields of what is passed through."""

from __future__ import annotations

from schemas.api.chat_completion import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    OpenAIError,
    OpenAIErrorResponse,
)
from stack.http.spec.components import ANY_OBJECT, Details
from stack.http.spec.operation import Operation

_LISTS = {"type": "array", "items": ANY_OBJECT}
_CODE = {"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}
_TEXT_OR_NULL = {"oneOf": [{"type": "string"}, {"type": "null"}]}

DETAILS: dict[type, Details] = {
    ChatCompletionRequest: Details(open=True, schemas={"messages": _LISTS}),
    ChatCompletion: Details(open=True, schemas={"choices": _LISTS}),
    ChatCompletionChunk: Details(open=True, schemas={"choices": _LISTS}),
    OpenAIError: Details(open=True, schemas={"code": _CODE, "param": _TEXT_OR_NULL}),
    OpenAIErrorResponse: Details(open=True),
}


def operations(tag: str) -> tuple[Operation, ...]:
    return tuple(
        Operation(
            method="post",
            path=path,
            id=id,
            tag=tag,
            summary="Complete a chat in the OpenAI form.",
            description=(
                "Passed through to the provider that `model` names: the body is forwarded unchanged but for the model's name, "
                "and the answer comes back as it is, failures too. Nothing of it is recorded as an event; its span has "
                "the tokens. Failures have OpenAI's form."
            ),
            body=ChatCompletionRequest,
            answer=ChatCompletion,
            frames=ChatCompletionChunk,
            failures=OpenAIErrorResponse,
            says="The model's answer, in one piece or as server-sent events.",
        )
        for path, id in (
            ("/v1/chat/completions", "create_chat_completion"),
            ("/v1/openai/v1/chat/completions", "create_openai_chat_completion"),
        )
    )
