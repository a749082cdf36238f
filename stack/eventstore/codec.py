"""Converts events to stored JSON and back: names, upcasts, redacted and unknown events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from projections.warehouse.feed import unversioned
from schemas.events import REGISTRY
from schemas.events.base import Event, Redacted, Unknown
from schemas.upcasts import UPCASTS, Upcast
from stack.errors import InternalError, Invalid

REDACTED_STATE = b'{"event":"redacted"}'

_encode = msgspec.json.Encoder().encode
_REDACTED, _UNKNOWN = Redacted(), Unknown()


class Codec:
    """Reads all versions of all events, and writes the newest."""

    def __init__(
        self,
        registry: Mapping[str, type[Event]] = REGISTRY,
        upcasts: Mapping[str, tuple[str, Upcast]] = UPCASTS,
    ) -> None:
        self._names = {event: name for name, event in registry.items()}
        self._decoders = {name: msgspec.json.Decoder(event) for name, event in registry.items()}
        self._upcasts = dict(upcasts)

    def encode(self, event: Event) -> tuple[str, bytes]:
        """Returns the stored name and JSON of an event. Raises Invalid for content that JSON cannot
        express."""
        try:
            return self._names[type(event)], _encode(event)
        except KeyError:
            raise TypeError(f"{type(event).__name__} is not a registered event") from None
        except UnicodeEncodeError:
            raise Invalid(
                "The text holds half of a surrogate pair, which is not a Unicode character."
            ) from None
        except RecursionError:
            raise Invalid("The request is nested too deeply to be stored.") from None

    def lift(self, name: str, state: bytes) -> tuple[str, bytes]:
        """Returns the current name and JSON of an event stored as `name`. An event that cannot be converted
        is returned unchanged, and the reader decides how to handle it."""
        if name not in self._upcasts:
            return name, state
        if state == REDACTED_STATE:
            while name in self._upcasts:
                name = self._upcasts[name][0]
            return name, state
        try:
            return self._lifted(name, msgspec.json.decode(state))
        except Exception:  # an upcast that fails on damaged content must not end a follower
            return name, state

    def names(self) -> dict[str, list[str]]:
        """Returns the names without versions of all known events, each with its stored names of all versions."""
        found: dict[str, list[str]] = {}
        for stored in (*self._decoders, *self._upcasts):
            name = stored
            while name in self._upcasts:
                name = self._upcasts[name][0]
            found.setdefault(unversioned(name), []).append(stored)
        return found

    def decode(self, name: str, state: bytes, hydrate: Callable[[bytes], bytes]) -> Event:
        """Returns the event: `Redacted` if its content was removed, `Unknown` if this version does not know
        its name. Raises InternalError if a known event cannot be read."""
        if state == REDACTED_STATE:
            return _REDACTED
        if name in self._upcasts:
            name, state = self.lift(name, state)
        decoder = self._decoders.get(name)
        if decoder is None:
            if name in self._upcasts:
                raise InternalError(f"A stored {name} event cannot be converted to its present form.")
            return _UNKNOWN
        try:
            return decoder.decode(hydrate(state))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InternalError(f"A stored {name} event cannot be read: {error}.") from error

    def _lifted(self, name: str, payload: dict[str, Any]) -> tuple[str, bytes]:
        while name in self._upcasts:
            name, upcast = self._upcasts[name]
            payload = upcast(payload)
        return name, _encode({**payload, "event": name})


def check_text(text: str, what: str = "The text") -> None:
    """Raises Invalid for text that UTF-8 cannot express."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(f"{what} holds half of a surrogate pair, which is not a Unicode character.") from None
