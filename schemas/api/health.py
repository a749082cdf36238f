"""Health and version of the server (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType


class HealthInfo(Struct, frozen=True):
    """`detail` says what the server cannot do at the moment (not part of the Llama Stack specification)."""

    status: Literal["OK"] = "OK"
    detail: str | UnsetType = UNSET


class VersionInfo(Struct, frozen=True):
    version: str
