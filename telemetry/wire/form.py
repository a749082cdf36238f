"""The interface through which the decoders access a request in JSON or protobuf form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from telemetry.log.port import Signal


class Form(Protocol):
    """One instance serves all requests of a form, because it caches their common parts. All methods raise
    Malformed.

    Messages and values are as the form's own parser returns them, so they have no type here: an id is
    hexadecimal text in JSON and bytes in protobuf, and a 64-bit number may be a text in JSON.
    """

    def request(self, signal: Signal, body: bytes) -> Any:
        """Parses the message of a whole request. Also raises TooLarge."""
        ...

    def fragments(self, attributes: Any) -> dict[bytes, bytes]:
        """Returns the fragments `"key":value` of a list of attributes, both JSON text, by key."""
        ...

    def resource(self, resource: Any) -> tuple[dict[bytes, bytes], int]:
        """Returns the fragments, and the number of attributes that the sender dropped."""
        ...

    def scope(self, scope: Any) -> tuple[str, str, dict[bytes, bytes], int]:
        """Returns name, version, fragments, and the number of attributes that the sender dropped."""
        ...

    def ids(self, values: Sequence[Any]) -> Sequence[bytes]:
        """Returns the ids as bytes. An id that is not hexadecimal becomes one byte, which is never a valid
        length."""
        ...

    def number(self, value: Any) -> int: ...

    def numbers(self, values: Any) -> Sequence[int]: ...

    def counts(self, values: Sequence[Any]) -> Sequence[int]:
        """Returns 32-bit numbers."""
        ...

    def reals(self, values: Any) -> Sequence[float]: ...

    def enums(self, values: Sequence[Any], names: Sequence[str]) -> list[int]:
        """Returns the numbers of enumeration values; 0 for a name that is not in `names`."""
        ...

    def real_or_none(self, message: Any, field: str) -> float | None: ...

    def choice(self, message: Any, name: str, fields: Sequence[str]) -> str | None:
        """Returns which field of a oneof is present. `name` is that of the oneof."""
        ...

    def buckets(self, buckets: Any) -> tuple[int, Sequence[int]]:
        """Returns the offset and counts of one side of an exponential histogram."""
        ...

    def bodies(self, values: Sequence[Any]) -> list[bytes]:
        """Returns the JSON text of the bodies of log records."""
        ...

    def statuses(self, values: Sequence[Any]) -> list[tuple[int, bytes]]:
        """Returns codes and messages."""
        ...

    def events(self, values: Sequence[Any]) -> bytes:
        """Returns the JSON text of a span's events."""
        ...

    def links(self, values: Sequence[Any]) -> bytes:
        """Returns the JSON text of a span's links."""
        ...
