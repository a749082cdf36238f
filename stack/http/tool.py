"""Toolgroups and tools of the server, over HTTP (not in the Llama Stack specification; existing clients call
it)."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from schemas.api.tool import ListToolGroupsResponse, ListToolsResponse
from stack.errors import NotFound, NotOffered
from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.path import id_of

REMEDY = (
    "Toolgroups are not registered at run time, and this server has none: give an agent its tools as "
    "`client_tools`, which the client runs."
)


class ToolController(Controller):
    @serves("list_tools")
    async def tools(self, request: Request[Any, Any, Any]) -> ASGIResponse:
        """Lists the tools. `?toolgroup_id=` limits the list to one group."""
        group = request.query_params.get("toolgroup_id")
        if group:
            raise _unknown_group(group)
        return json_answer(ListToolsResponse([]))

    @serves("get_tool")
    async def tool(self, tool_name: str) -> ASGIResponse:
        raise NotFound(f"There is no tool {id_of(tool_name)!r}; this server runs none.")

    @serves("list_toolgroups")
    async def groups(self) -> ASGIResponse:
        return json_answer(ListToolGroupsResponse([]))

    @serves("get_toolgroup")
    async def group(self, toolgroup_id: str) -> ASGIResponse:
        raise _unknown_group(id_of(toolgroup_id))

    @serves("register_toolgroup")
    async def register(self) -> ASGIResponse:
        raise NotOffered(REMEDY)

    @serves("unregister_toolgroup")
    async def unregister(self, toolgroup_id: str) -> ASGIResponse:
        raise NotOffered(REMEDY)


def _unknown_group(name: str) -> NotFound:
    return NotFound(f"There is no toolgroup {name!r}; this server has none.")
