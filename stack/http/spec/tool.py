"""Description of toolgroups and tools."""

from __future__ import annotations

from schemas.api.tool import InvokeToolRequest, ListToolsResponse, ToolInvocationResult
from stack.http.spec.operation import Operation, Parameter


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="get",
            path="/v1/tool-runtime/list-tools",
            id="list_runtime_tools",
            tag=tag,
            summary="List tools.",
            description="The same list as that of GET /v1/tools.",
            parameters=(
                Parameter(name="tool_group_id", kind=str, description="Only the tools of this toolgroup."),
            ),
            answer=ListToolsResponse,
            says="All tools.",
        ),
        Operation(
            method="post",
            path="/v1/tool-runtime/invoke",
            id="invoke_tool",
            tag=tag,
            summary="Call a tool.",
            description=(
                "Outside of any turn: neither the call nor its result is recorded, and it cannot be repeated safely. A "
                "call that needs approval is answered 403. A call that asks the user, and a repetition of a request "
                "(an Idempotency-Key, an automatic retry) for a tool that is not declared repeatable, are answered 409."
            ),
            body=InvokeToolRequest,
            answer=ToolInvocationResult,
            says="The result; an error of the tool itself is a result too.",
        ),
    )
