"""All expected errors, and the HTTP status of each.

    ReplaystackError
    ├── Invalid                 400  the request is invalid; `detail` names the field and the remedy
    ├── Unauthenticated         401
    ├── Forbidden               403
    ├── NotFound                404
    ├── MethodNotAllowed        405
    ├── NotAcceptable           406  none of the formats that are accepted can be sent
    ├── RequestTimeout          408  the request did not arrive in time
    ├── Conflict                409  the request contradicts the current state
    │   └── VersionConflict          another command changed the stream first (retried internally)
    ├── TooLarge                413
    ├── UriTooLong              414
    ├── UnsupportedMediaType    415
    ├── TooManyRequests         429
    ├── HeadersTooLarge         431
    ├── InternalError           500
    │   └── ContentDamaged           the requested content is in the log, but cannot be read
    │       └── RowsDamaged          rows of a dataset; others can be read
    ├── NotOffered              501
    ├── UpstreamFailed          502  a model, tool or shield failed
    ├── Unavailable             503  try again later; nothing was stored
    └── UpstreamTimeout         504

`title` is the same for all errors of a kind. One handler (`stack/http/error.py`) converts them to the
specification's `Error` body; no other module chooses a status.
"""

from __future__ import annotations

from typing import ClassVar


class ReplaystackError(Exception):
    """`detail` is for the caller: the problem, its place, and the remedy. `retry_after` is in seconds."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"

    def __init__(
        self,
        detail: str,
        *,
        retry_after: int | None = None,
        instance: str | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.instance = instance
        self.should_retry = should_retry


class Invalid(ReplaystackError):
    status, title = 400, "Bad Request"


class Unauthenticated(ReplaystackError):
    status, title = 401, "Unauthorized"


class Forbidden(ReplaystackError):
    status, title = 403, "Forbidden"


class NotFound(ReplaystackError):
    status, title = 404, "Not Found"


class MethodNotAllowed(ReplaystackError):
    status, title = 405, "Method Not Allowed"


class NotAcceptable(ReplaystackError):
    status, title = 406, "Not Acceptable"


class RequestTimeout(ReplaystackError):
    status, title = 408, "Request Timeout"


class Conflict(ReplaystackError):
    status, title = 409, "Conflict"


class VersionConflict(Conflict):
    """`stream` is not at the version that the command expected. Repeat the decision with its current
    state."""

    def __init__(self, stream: str, expected: int) -> None:
        super().__init__(f"{stream} was changed by another request (expected version {expected}).")
        self.stream = stream
        self.expected = expected


class TooLarge(ReplaystackError):
    status, title = 413, "Content Too Large"


class UriTooLong(ReplaystackError):
    status, title = 414, "URI Too Long"


class UnsupportedMediaType(ReplaystackError):
    status, title = 415, "Unsupported Media Type"


class TooManyRequests(ReplaystackError):
    status, title = 429, "Too Many Requests"


class HeadersTooLarge(ReplaystackError):
    status, title = 431, "Request Header Fields Too Large"


class InternalError(ReplaystackError):
    status, title = 500, "Internal Server Error"


class ContentDamaged(InternalError):
    """The requested content is in the log, but cannot be read."""

    title = "Stored Content Damaged"


class RowsDamaged(ContentDamaged):
    """Rows `first` to `first + count` of a dataset cannot be read."""

    def __init__(self, dataset_id: str, first: int, count: int, reason: str) -> None:
        self.first, self.count = first, count
        rows = f"Row {first}" if count == 1 else f"Rows {first} to {first + count - 1}"
        super().__init__(
            f"{rows} of dataset {dataset_id!r} cannot be read. {reason} The rows after them begin at start_index "
            f"{first + count}."
        )


class NotOffered(ReplaystackError):
    status, title = 501, "Not Implemented"


class UpstreamFailed(ReplaystackError):
    status, title = 502, "Bad Gateway"


class Unavailable(ReplaystackError):
    status, title = 503, "Service Unavailable"


class UpstreamTimeout(ReplaystackError):
    status, title = 504, "Gateway Timeout"


def of_status(status: int, detail: str) -> ReplaystackError:
    """Returns the error for a recorded status, to be raised again."""
    kinds = {kind.status: kind for kind in ReplaystackError.__subclasses__()}
    return kinds.get(status, InternalError)(detail)
