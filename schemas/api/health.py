"""Health and version of the server (beside the contract)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class HealthInfo(Struct, frozen=True):
    status: Literal["OK"] = "OK"


class VersionInfo(Struct, frozen=True):
    version: str
