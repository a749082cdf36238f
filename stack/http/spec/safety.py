"""Description of shields that are run directly."""

from __future__ import annotations

from schemas.api.chat_completion import OpenAIErrorResponse
from schemas.api.safety import ModerationRequest, ModerationResponse, RunShieldRequest, RunShieldResponse
from stack.http.spec.operation import Operation


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="post",
            path="/v1/safety/run-shield",
            id="run_shield",
            tag=tag,
            summary="Run a shield on messages.",
            description="A shield that fails is answered 502, 503 or 504 with its name, never as if it had no objection.",
            body=RunShieldRequest,
            answer=RunShieldResponse,
            says="Its violation; none is left out.",
        ),
        *(
            Operation(
                method="post",
                path=path,
                id=id,
                tag=tag,
                summary="Run a shield on texts, in the OpenAI form.",
                description="`model` is the id of a shield.",
                body=ModerationRequest,
                answer=ModerationResponse,
                failures=OpenAIErrorResponse,
                says="One result for each text.",
            )
            for path, id in (
                ("/v1/moderations", "create_moderation"),
                ("/v1/openai/v1/moderations", "create_openai_moderation"),
            )
        ),
    )
