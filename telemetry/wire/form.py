"""What the decoders need to know about the form of a request: JSON or protobuf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from telemetry.log.port import Signal


class Form(Protocol):
    """One for all requests of a form: it remembers what they have in common. All methods raise Malformed.

    Messages and values are as the form's own parser returns them, so they have no type here: an id is hexadecimal text
    in JSON and bytes in protobuf, and a number of 64 bits may be a text in JSON.
    """

    def request(self, signal: Signal, body: bytes) -> Any:
        """The message of a whole request. Raises TooLarge too."""
        ...

    def fragments(self, attributes: Any) -> dict[bytes, bytes]:
        """The fragments `"key":value` of a list of attributes, both JSON text, by key."""
        ...

    def resource(self, resource: Any) -> tuple[dict[bytes, bytes], int]:
        """Fragments, and the number of attributes that the sender dropped."""
        ...

    def scope(self, scope: Any) -> tuple[str, str, dict[bytes, bytes], int]:
        """Name, version, fragments, and the number of attributes that the sender dropped."""
        ...

    def ids(self, values: Sequence[Any]) -> Sequence[bytes]:
        """An id that is not hexadecimal text is one byte: no valid length."""
        ...

    def number(self, value: Any) -> int: ...

    def numbers(self, values: Any) -> Sequence[int]: ...

    def counts(self, values: Sequence[Any]) -> Sequence[int]:
        """Numbers of 32 bits."""
        ...

    def reals(self, values: Any) -> Sequence[float]: ...

    def enums(self, values: Sequence[Any], names: Sequence[str]) -> list[int]:
        """Numbers of `names`, 0 for one that is unknown."""
        ...

    def real_or_none(self, message: Any, field: str) -> float | None: ...

    def choice(self, message: Any, name: str, fields: Sequence[str]) -> str | None:
        """Which of the fields is there; `name` is what they are together."""
        ...

    def buckets(self, buckets: Any) -> tuple[int, Sequence[int]]:
        """The offset and counts of one side of an exponential histogram."""
        ...

    def bodies(self, values: Sequence[Any]) -> list[bytes]:
        """JSON text of what was logged."""
        ...

    def statuses(self, values: Sequence[Any]) -> list[tuple[int, bytes]]:
        """Code and message."""
        ...

    def events(self, values: Sequence[Any]) -> bytes:
        """JSON text of a span's events."""
        ...

    def links(self, values: Sequence[Any]) -> bytes:
        """JSON text of a span's links."""
        ...
