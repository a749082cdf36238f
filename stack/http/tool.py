"""Toolgroups and tools of the server, over HTTP (not part of the Llama Stack specification; existing clients call
it)."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from schemas.api.tool import InvokeToolRequest, ListToolGroupsResponse, ListToolsResponse
from stack.errors import NotOffered
from stack.http.answer import json_answer
from stack.http.body import post_of, read_json
from stack.http.endpoint import serves
from stack.http.leaving import until_disconnected
from stack.http.path import id_of
from stack.http.services import Services

REMEDY = "Toolgroups are not registered at run time: add a [[toolgroups]] table to the settings."


class ToolController(Controller):
    @serves("list_tools")
    async def tools(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        """Lists the tools. `?toolgroup_id=` limits the list to one group."""
        group = request.query_params.get("toolgroup_id")
        return json_answer(ListToolsResponse(await services.tools.tools(group or None)))

    @serves("list_runtime_tools")
    async def runtime_tools(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        group = request.query_params.get("tool_group_id")
        return json_answer(ListToolsResponse(await services.tools.tools(group or None)))

    @serves("get_tool")
    async def tool(self, tool_name: str, services: Services) -> ASGIResponse:
        return json_answer(await services.tools.tool(id_of(tool_name)))

    @serves("invoke_tool")
    async def invoke(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        data, body = await read_json(request, InvokeToolRequest)
        post = post_of(request, body)
        call = services.tools.invoke(data, is_retry=post.retry > 0, has_key=bool(post.key))
        return json_answer(await until_disconnected(call, request.receive))

    @serves("list_toolgroups")
    async def groups(self, services: Services) -> ASGIResponse:
        return json_answer(ListToolGroupsResponse(services.tools.groups()))

    @serves("get_toolgroup")
    async def group(self, toolgroup_id: str, services: Services) -> ASGIResponse:
        return json_answer(services.tools.group(id_of(toolgroup_id)))

    @serves("register_toolgroup")
    async def register(self) -> ASGIResponse:
        raise NotOffered(REMEDY)

    @serves("unregister_toolgroup")
    async def unregister(self, toolgroup_id: str) -> ASGIResponse:
        raise NotOffered(REMEDY)
