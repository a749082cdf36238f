"""A request that is passed through: only its top level is parsed, all values are kept
unchanged."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from stack.errors import Invalid

T = TypeVar("T")

_USAGE = "include_usage"
_NULL = Raw(b"null")
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


class ReadRequest(Struct, frozen=True):
    """The members of the body by name, in their order. `model` is the name as the caller wrote it."""

    fields: dict[str, Raw]
    model: str
    streamed: bool

    def value(self, name: str, kind: type[T]) -> T | None:
        """Returns a member's value if it has this type, otherwise None: the server reports invalid values."""
        given = self.fields.get(name)
        if given is None:
            return None
        try:
            return msgspec.json.decode(given, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def body(self, model: str) -> bytes:
        """Returns the request for the server, which calls the model `model`."""
        return _encode(self.fields | {"model": Raw(_encode(model))})

    def asking_for_usage(self) -> ReadRequest | None:
        """Returns the request with a final event for token counts; None if it already has one or does not
        allow it."""
        options = self.value("stream_options", dict[str, Raw])
        taken = options is not None or bytes(self.fields.get("stream_options", _NULL)) == b"null"
        if not self.streamed or not taken or bytes((options or {}).get(_USAGE, _NULL)) == b"true":
            return None
        asking = Raw(_encode({**(options or {}), _USAGE: True}))
        return ReadRequest(self.fields | {"stream_options": asking}, self.model, True)


def read_request(body: bytes) -> ReadRequest:
    """Parses a request. Raises Invalid unless it is a JSON object with a `model`."""
    try:
        fields = _fields(body)
    except msgspec.ValidationError:
        raise Invalid("The body is not a JSON object.") from None
    except msgspec.DecodeError as error:
        raise Invalid(f"The body is not valid JSON: {error}.") from None
    except UnicodeDecodeError as error:
        raise Invalid(f"The body is not valid UTF-8 at byte {error.start}.") from None
    except RecursionError:
        raise Invalid("The body is nested too deeply.") from None
    if "model" not in fields:
        raise Invalid("model is missing. GET /v1/models lists what there is.")
    unread = ReadRequest(fields, "", False)
    model = unread.value("model", str)
    if not model:
        raise Invalid("model: it must be the name of a model. GET /v1/models lists what there is.")
    return ReadRequest(fields, model, unread.value("stream", bool) is True)
