"""Description of approvals and effects of tools."""

from __future__ import annotations

from schemas.api.approval import Approval, DecideRequest
from schemas.api.effect import Effect, SettleEffectRequest
from schemas.api.page import PaginatedResponse
from stack.http.spec.operation import PAGE, Operation, Parameter


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="get",
            path="/v1alpha/approvals",
            id="list_approvals",
            tag=tag,
            summary="List the decisions that turns wait for, or have waited for.",
            parameters=(
                Parameter(
                    name="status",
                    kind=str,
                    description="Only those of this status: pending, void, approve, deny, accept, decline, cancel or expired.",
                ),
                *PAGE,
            ),
            answer=PaginatedResponse,
            says="A page of approvals, oldest first.",
        ),
        Operation(
            method="get",
            path="/v1alpha/approvals/{approval_id}",
            id="get_approval",
            tag=tag,
            summary="Read an approval.",
            answer=Approval,
            says="The approval.",
        ),
        Operation(
            method="post",
            path="/v1alpha/approvals/{approval_id}",
            id="decide_approval",
            tag=tag,
            summary="Decide whether a tool may be called, or answer its question.",
            description="The turn continues when its last pending decision was made. A decision is made once.",
            body=DecideRequest,
            answer=Approval,
            says="The approval as it is now.",
        ),
        Operation(
            method="get",
            path="/v1alpha/effects",
            id="list_effects",
            tag=tag,
            summary="List calls of server-side tools.",
            parameters=(
                Parameter(
                    name="status",
                    kind=str,
                    description="Only those of this status: running, suspended, done, failed, denied or unknown.",
                ),
                *PAGE,
            ),
            answer=PaginatedResponse,
            says="A page of effects, oldest first.",
        ),
        Operation(
            method="get",
            path="/v1alpha/effects/{effect_key}",
            id="get_effect",
            tag=tag,
            summary="Read an effect.",
            answer=Effect,
            says="The effect.",
        ),
        Operation(
            method="post",
            path="/v1alpha/effects/{effect_key}",
            id="settle_effect",
            tag=tag,
            summary="Settle an effect whose outcome is unknown.",
            description="States its result, or calls the tool again. Later turns of the session see the result.",
            body=SettleEffectRequest,
            answer=Effect,
            says="The effect as it is now.",
        ),
    )
