"""Calls of server-side tools within a turn: their state, and the decisions that they wait for.

A call is an effect: its intent is recorded before it leaves the process and its outcome afterwards, so that no tool
that is not declared repeatable is called twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.events.base import Event
from schemas.events.payload import Content, ToolCall, ToolResponse
from schemas.events.turn import (
    TurnEffectSettled,
    TurnInputReceived,
    TurnInputRequested,
    TurnToolCalled,
    TurnToolReturned,
    TurnToolSuspended,
)
from stack.errors import Conflict, Invalid

UNKNOWN_OUTCOME = (
    "The outcome of this call is unknown: it may have run, and its result was lost. It was not called again."
)
APPROVAL_DECISIONS = ("approve", "deny")
ELICITATION_DECISIONS = ("accept", "decline", "cancel")

_canonical = msgspec.json.Encoder(order="sorted").encode


class CallState(Struct, frozen=True, kw_only=True):
    """One call. `status` is called (it may be running), suspended (it continues with `state` and the results of
    `calls`, or the answer to `question`), done, failed, denied or unknown. `nested` counts the calls that it has made."""

    call_id: str
    step_id: str = ""
    key: str = ""
    tool_name: str = ""
    toolgroup: str = ""
    arguments: str = ""
    repeatable: bool = False
    parent: str = ""
    attempt: int = 0
    status: str = "called"
    content: Content = ""
    metadata: dict[str, Any] | None = None
    state: str | None = None
    calls: tuple[ToolCall, ...] = ()
    question: dict[str, Any] | None = None
    nested: int = 0

    @property
    def has_returned(self) -> bool:
        return self.status not in ("called", "suspended")

    def response(self) -> ToolResponse:
        return ToolResponse(self.call_id, self.tool_name, self.content, self.metadata)


class InputRequest(Struct, frozen=True, kw_only=True):
    """A decision that a call waits for; `decision` is empty until it was made. See `TurnInputRequested`."""

    asked: TurnInputRequested
    decision: str = ""
    reason: str = ""
    content: dict[str, Any] | None = None


Calls = Mapping[str, CallState]
Requests = Mapping[str, InputRequest]


def evolve_calls(calls: Calls, event: Event) -> Calls:
    """Returns the calls of a turn, by id, after an event."""
    match event:
        case TurnToolCalled():
            known = calls.get(event.call_id) or CallState(call_id=event.call_id)
            call = replace(
                known,
                step_id=event.step_id,
                key=event.key,
                tool_name=event.tool_name,
                toolgroup=event.toolgroup,
                arguments=event.arguments,
                repeatable=event.repeatable,
                parent=event.parent,
                attempt=event.attempt,
                status="called",
            )
        case TurnToolReturned():
            known = calls.get(event.call_id) or CallState(call_id=event.call_id)
            call = replace(
                known,
                status=event.status,
                tool_name=known.tool_name or event.tool_name,
                content=event.content,
                metadata=event.metadata,
                state=None,
                calls=(),
            )
        case TurnToolSuspended():
            known = calls.get(event.call_id) or CallState(call_id=event.call_id)
            call = replace(
                known,
                status="suspended",
                state=event.state,
                calls=tuple(event.calls or ()),
                question=event.question,
                nested=known.nested + len(event.calls or ()),
            )
        case TurnEffectSettled():
            known = calls.get(event.call_id) or CallState(call_id=event.call_id)
            call = replace(known, status=event.status, content=event.content)
        case _:
            return calls
    return {**calls, call.call_id: call}


def evolve_requests(requests: Requests, event: Event) -> Requests:
    """Returns the requests of a turn, by the id of their call, after an event. A later request of a call takes the
    place of an earlier one."""
    match event:
        case TurnInputRequested():
            return {**requests, event.call_id: InputRequest(asked=event)}
        case TurnInputReceived() if event.call_id in requests:
            decided = replace(
                requests[event.call_id], decision=event.decision, reason=event.reason, content=event.content
            )
            return {**requests, event.call_id: decided}
    return requests


def undecided(requests: Requests) -> list[InputRequest]:
    return [one for one in requests.values() if not one.decision]


def canonical(arguments: str) -> bytes:
    """Returns the arguments as JSON with sorted keys and without white space; as they are if they are not JSON."""
    try:
        return _canonical(msgspec.json.decode(arguments))
    except (msgspec.DecodeError, RecursionError):
        return arguments.encode("utf-8", "surrogatepass")


def call_digest(toolgroup: str, tool_name: str, arguments: str) -> str:
    """Returns the SHA-256 (hex) to which an approval is bound: of the tool and its canonical arguments."""
    return _sha256(toolgroup.encode(), tool_name.encode(), canonical(arguments))


def effect_key(toolgroup: str, tool_name: str, arguments: str, turn_id: str, calls: Calls) -> str:
    """Returns the key of a new call: the SHA-256 (hex) of tool, canonical arguments and turn. If the model made the
    same call before in this turn, it is another effect, and the number of the call counts as well."""
    parts = (toolgroup.encode(), tool_name.encode(), canonical(arguments), turn_id.encode())
    taken = {call.key for call in calls.values()}
    key, number = _sha256(*parts), 1
    while key in taken:
        number += 1
        key = _sha256(*parts, str(number).encode())
    return key


def _sha256(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def decide(
    request: InputRequest, decision: str, reason: str, content: dict[str, Any] | None
) -> TurnInputReceived:
    """Returns the decision on a request. Raises Conflict if it was decided before, Invalid for a decision that its kind
    does not have."""
    asked = request.asked
    if request.decision:
        raise Conflict(f"The request of call {asked.call_id!r} was decided before: {request.decision}.")
    allowed = APPROVAL_DECISIONS if asked.kind == "approval" else ELICITATION_DECISIONS
    if decision not in (*allowed, "expired"):
        raise Invalid(
            f"The decision on call {asked.call_id!r} is {decision!r}; it must be one of: {', '.join(allowed)}."
        )
    if content is not None and decision != "accept":
        raise Invalid(f"The decision {decision!r} on call {asked.call_id!r} has no content; leave it out.")
    return TurnInputReceived(
        request_id=asked.request_id, call_id=asked.call_id, decision=decision, reason=reason, content=content
    )


def decision_in(response: ToolResponse, request: InputRequest) -> TurnInputReceived:
    """Returns the decision that a tool response states: `metadata.decision` with the content as the reason or, for an
    accepted elicitation, as the JSON object that was asked for; or only the decision as its content. Raises Invalid,
    Conflict."""
    text = response.content if isinstance(response.content, str) else None
    where = f"The response to call {response.call_id!r}"
    said = (response.metadata or {}).get("decision")
    if said is not None and not isinstance(said, str):
        raise Invalid(f"{where}: metadata.decision must be text.")
    if text is None:
        raise Invalid(f"{where} is a decision: its content must be text.")
    if request.asked.kind == "approval":
        if said is None:
            if text.strip() not in APPROVAL_DECISIONS:
                raise Invalid(
                    f'{where} must approve or deny it, because the server runs this tool: give {{"decision": "approve"}} '
                    "or deny in metadata, with a reason as the content."
                )
            return decide(request, text.strip(), "", None)
        return decide(request, said, text, None)
    if said in ("decline", "cancel"):
        return decide(request, said, text, None)
    try:
        content = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise Invalid(
            f"{where} must be a JSON object with the fields that were asked for, or have the decision decline or cancel "
            "in metadata."
        ) from None
    return decide(request, said or "accept", "", content)


def denial(request: InputRequest) -> str:
    """Returns the text that the model sees in place of the result of a denied call."""
    if request.decision == "expired":
        return "The call was denied: it was not approved in time."
    return f"The call was denied: {request.reason}" if request.reason else "The call was denied."


def responses_of(step_calls: Sequence[ToolCall], calls: Calls, otherwise: str) -> list[ToolResponse]:
    """Returns the responses of a step, one for each call in order: `otherwise` for those that were not called, and that
    the outcome is unknown for those that have not returned."""
    found = []
    for one in step_calls:
        call = calls.get(one.call_id)
        if call is not None and call.has_returned:
            found.append(ToolResponse(one.call_id, one.tool_name, call.content, call.metadata))
        elif call is not None and call.status == "called":
            found.append(ToolResponse(one.call_id, one.tool_name, UNKNOWN_OUTCOME))
        else:
            found.append(ToolResponse(one.call_id, one.tool_name, otherwise))
    return found
