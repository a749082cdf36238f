"""`replaystack authorize ID`: obtains OAuth tokens for an MCP server, which needs a person once."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import click

from stack.cli.options import loaded, settings_options
from stack.cli.terminal import one_line

if TYPE_CHECKING:
    from mcp.shared.auth import AuthorizationCodeResult

    from stack.providers.tools.settings import ToolGroupSettings
    from stack.settings import Settings

WAIT_S = 600.0
MAX_REQUEST_BYTES = 16 * 1024
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nDone. You can close this page.\n"


@click.command(name="authorize")
@click.argument("toolgroup", metavar="ID")
@click.option(
    "--paste", is_flag=True, help="Read the address to which the browser was sent from standard input."
)
@settings_options("data")
def command(toolgroup: str, paste: bool, **options: Any) -> None:
    """Let a person authorize the server at the MCP server of the toolgroup ID (`mcp::name`).

    Prints a URL to open in a browser, and waits up to ten minutes for the authorization server to send the browser
    to the redirect URI of the settings, which this command listens on. If the browser runs on another machine,
    use --paste. The tokens are stored in the data folder, and used by the server from its next connection.
    """
    settings: Settings = loaded(options).settings
    group = next((one for one in settings.toolgroups if one.id == toolgroup), None)
    if group is None:
        raise click.ClickException(f"There is no toolgroup {toolgroup!r} in the settings.")
    if group.oauth is None or group.oauth.grant != "authorization_code":
        raise click.ClickException(
            f"{toolgroup} has no `oauth` with the grant authorization_code in the settings."
        )
    from stack.errors import ReplaystackError

    # What fails is the error of this command; the SDK logs it with a traceback.
    for name in ("mcp", "replaystack.mcp"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        tools = asyncio.run(_authorize(settings, group, paste))
    except ReplaystackError as error:
        raise click.ClickException(error.detail) from None
    click.echo(f"{toolgroup} is authorized; its server lists {tools} tools.")


async def _authorize(settings: Settings, group: ToolGroupSettings, paste: bool) -> int:
    """Returns the number of tools that the server lists. Raises UpstreamFailed."""
    import msgspec

    from stack.providers.tools.mcp_group import Endpoint, new_client

    assert group.oauth is not None
    redirect_uri = group.oauth.redirect_uri
    settings.data.mkdir(parents=True, exist_ok=True)

    async def visit(url: str) -> AuthorizationCodeResult:
        click.echo(f"Open this URL in a browser:\n\n{one_line(url)}\n")
        return _result(await (_pasted() if paste else _redirected(redirect_uri)))

    patient = msgspec.structs.replace(group, timeout_s=WAIT_S)
    client = new_client(patient, Endpoint(group.url), settings.data, visit)
    try:
        return len((await client.tools()).tools)
    finally:
        await client.aclose()


async def _pasted() -> str:
    click.echo("Then paste the address to which the browser was sent:")
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()


async def _redirected(redirect_uri: str) -> str:
    """Returns the path of the first request to the redirect URI."""
    where = urlsplit(redirect_uri)
    came: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode("latin-1").split(" ")
        while (await reader.readline()).strip():
            """The headers are read to their end: the browser would see a broken connection otherwise."""
        if len(line) == 3 and line[0] == "GET" and urlsplit(line[1]).path == where.path:
            writer.write(_ANSWER)
            await writer.drain()
            if not came.done():
                came.set_result(line[1])
        writer.close()

    server = await asyncio.start_server(answer, where.hostname, where.port, limit=MAX_REQUEST_BYTES)
    async with server:
        return await came


def _result(address: str) -> AuthorizationCodeResult:
    """Raises PermissionError if the authorization was refused."""
    from mcp.shared.auth import AuthorizationCodeResult

    given = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    if "code" not in given:
        raise PermissionError(
            f"the authorization was refused ({given.get('error', 'without a reason')[:100]})"
        )
    return AuthorizationCodeResult(code=given["code"], state=given.get("state"), iss=given.get("iss"))
