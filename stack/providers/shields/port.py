"""The protocol of a shield: it judges texts before a model sees them, or before a caller sees a model's answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from schemas.events.payload import Violation


class ShieldMessage(Struct, frozen=True):
    """A text, and its side of the conversation: `user` is everything that a model reads (also the results of tools
    and retrieved text), `assistant` is everything that it writes (also the arguments of its calls)."""

    role: Literal["user", "assistant"]
    text: str


class ShieldRequest(Struct, frozen=True, kw_only=True):
    """The texts to judge. `context` was said before them and is not judged. `labels` identify the caller (attributes of
    spans)."""

    checked: Sequence[ShieldMessage]
    context: Sequence[ShieldMessage] = ()
    labels: Mapping[str, str] = {}

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.checked]


class Shield(Protocol):
    """`kind` is that of the settings; `resource` is the model that it asks, "" if it asks none."""

    @property
    def id(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def resource(self) -> str: ...

    @property
    def timeout_s(self) -> float:
        """The time limit of one check, which the caller enforces by cancellation."""
        ...

    async def check(self, request: ShieldRequest) -> Violation | None:
        """Returns its objection, None if it has none. Raises any error if it cannot decide: the texts must then be
        withheld."""
        ...


Ask = Callable[[str, str, Mapping[str, str]], Awaitable[str]]
"""Asks a model (`<provider>/<model>`, prompt, labels) and returns its answer. Raises ReplaystackError."""


def violation(
    shield_id: str, level: str, user_message: str, violation_type: str, **metadata: object
) -> Violation:
    """Returns an objection. Its metadata say which shield objects and why, and never quote the text."""
    return Violation(
        level=level,
        user_message=user_message,
        metadata={"shield_id": shield_id, "violation_type": violation_type, **metadata},
    )
