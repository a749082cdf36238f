"""The actions of Flight SQL: which there are, and cancelling in its newer and older form."""

from __future__ import annotations

from typing import Any

from stack.errors import Invalid, NotOffered
from stack.http.flight import messages

OFFERED = {
    "CreatePreparedStatement": "Prepares a SELECT.",
    "ClosePreparedStatement": "Closes a prepared statement.",
    "CancelFlightInfo": "Ends the query of a FlightInfo.",
    "CancelQuery": "Ends the query of a FlightInfo (older clients).",
}
_TRANSACTIONS = frozenset(("BeginTransaction", "EndTransaction", "BeginSavepoint", "EndSavepoint"))
_CANCELLED, _NOT_CANCELLABLE = 1, 3


def refused(name: str) -> NotOffered:
    """Returns the error for an action that is not offered."""
    if name in _TRANSACTIONS:
        return NotOffered(f"{name} is not offered: everything is read only. Connect with autocommit.")
    return NotOffered(f"The action {name[:100]!r} is not offered; there are {', '.join(OFFERED)}.")


def request(action: Any) -> Any:
    """Returns the content of an action's message. Raises Invalid."""
    name, content = messages.unwrapped(action.body, "action")
    if name != f"Action{action.type}Request" or content is None:
        raise Invalid(f"action: {name[:100]} is not the message of {action.type}.")
    return content


def cancelled_info(action: Any) -> Any:
    """Returns the `FlightInfo` of the query that is to end. Raises Invalid."""
    if action.type == "CancelFlightInfo":
        # A message of Flight, which is not wrapped.
        return messages.parsed("CancelFlightInfoRequest", action.body, "action").info
    return messages.parsed("FlightInfo", request(action).info, "action")


def cancel_result(action: Any, found: bool) -> bytes:
    """Returns the `Result`. A query that does not run, or no longer, cannot be cancelled."""
    code = _CANCELLED if found else _NOT_CANCELLABLE
    if action.type == "CancelFlightInfo":
        body = messages.new("CancelFlightInfoResult", status=code).SerializeToString()
    else:
        body = messages.wrapped("ActionCancelQueryResult", result=code)
    return bytes(messages.new("Result", body=body).SerializeToString())
