"""Health and version of the server (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType


class HealthInfo(Struct, frozen=True):
    """The server's health. `detail` names what the server currently cannot do (not in the Llama Stack
    specification)."""

    status: Literal["OK"] = "OK"
    detail: str | UnsetType = UNSET


class VersionInfo(Struct, frozen=True):
    version: str
