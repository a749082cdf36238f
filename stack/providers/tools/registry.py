"""All toolgroups of this server: those of the settings, and the builtin ones that need none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from stack.providers.tools.port import ToolGroup
from stack.providers.tools.settings import ToolGroupSettings


class Configured(Struct, frozen=True):
    """A toolgroup with its settings."""

    group: ToolGroup
    settings: ToolGroupSettings


class ToolGroups:
    """`groups` holds the toolgroups by id."""

    def __init__(self, settings: Sequence[ToolGroupSettings]) -> None:
        self.groups = {one.id: Configured(_open(one), one) for one in settings}

    async def aclose(self) -> None:
        await asyncio.gather(*(one.group.aclose() for one in self.groups.values()))


def _open(settings: ToolGroupSettings) -> ToolGroup:
    raise ValueError(f"{settings.id}: there is no toolgroup of this kind.")
