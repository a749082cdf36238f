"""Parses the response to `GET /models`, in all common formats."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from stack.providers.inference.lenient_json import NotJSON, count_in, decode, name_in

_MILLISECONDS = 10**11
"""Larger times are in milliseconds: in seconds this is the year 5138."""


class ListedModel(Struct, frozen=True):
    """One model. `created` is in seconds since 1970, 0 if unknown. `is_own` is true if it was listed by
    another server of this project."""

    id: str
    created: int = 0
    owned_by: str = ""
    is_own: bool = False


def listed_models(body: bytes) -> list[ListedModel] | None:
    """Parses a list of models: `{"data": [...]}`, `{"models": [...]}` or a bare array. Entries without an id
    and duplicate ids are left out. Returns None if it is not a list of models."""
    try:
        value = decode(body.removeprefix(b"\xef\xbb\xbf"))
    except NotJSON:
        return None
    names: tuple[str, ...] = ("id",)
    if isinstance(value, dict):
        if isinstance(value.get("data"), list):
            value = value["data"]
        elif isinstance(value.get("models"), list):
            value, names = value["models"], ("id", "model", "name", "key")
        elif ("data" in value and value["data"] is None) or value.get("object") == "list":
            return []
    if not isinstance(value, list):
        return None
    found: dict[str, ListedModel] = {}
    for entry in value:
        listed = _listed(entry, names)
        if listed is not None:
            found.setdefault(listed.id, listed)
    return list(found.values())


def is_model_server(body: bytes) -> bool:
    """Returns whether a list is certainly from a model server, and not from another server of this project:
    it contains models, or is explicitly a list that is still empty."""
    listed = listed_models(body)
    if listed:
        return not any(model.is_own for model in listed)
    try:
        value = decode(body)
    except NotJSON:
        return False
    return isinstance(value, dict) and value.get("object") == "list" and not value.get("data")


def _listed(entry: Any, names: tuple[str, ...]) -> ListedModel | None:
    if isinstance(entry, str):
        entry = {"id": entry}
    if not isinstance(entry, dict):
        return None
    id = next((name for key in names if (name := name_in(entry.get(key)).strip())), "")
    if not id:
        return None
    owner = entry.get("owned_by")
    return ListedModel(
        id,
        _created(entry.get("created") or entry.get("created_at")),
        owner if isinstance(owner, str) else "",
        bool(entry.get("identifier") or entry.get("provider_id")),
    )


def _created(value: Any) -> int:
    if isinstance(value, float):
        value = int(value) if abs(value) < 2**53 else None
    seconds = count_in(value)
    if seconds is None and isinstance(value, str):
        try:
            seconds = count_in(int(datetime.fromisoformat(value).timestamp()))
        except (ValueError, OverflowError, OSError):
            seconds = None
    if seconds is None:
        return 0
    return seconds // 1000 if seconds >= _MILLISECONDS else seconds
