"""OAuth as a client of MCP servers: tokens are obtained, kept privately, refreshed; a person is needed only once."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.providers.tools.port import NotCalled
from stack.providers.tools.settings import OAuthSettings
from tests.providers.tools.conftest import Open
from tests.server.process import wait_until
from tests.servers.mcp_oauth import CLIENT
from tests.servers.processes import ROOT, RunningServer, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running("tests.servers.mcp_oauth") as server:
        yield server


def own(server: RunningServer, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def grants(server: RunningServer) -> list[str]:
    with urllib.request.urlopen(own(server, "/control/grants"), timeout=30) as answer:
        found: list[str] = json.load(answer)
    return found


def credentials(server: RunningServer, secret: str) -> OAuthSettings:
    return OAuthSettings(
        grant="client_credentials", client_id=CLIENT[0], client_secret=secret, issuer=own(server, "")
    )


def test_a_server_without_a_token_is_refused(open_group: Open, server: RunningServer) -> None:
    group = open_group(url=own(server, "/mcp"))
    with pytest.raises(NotCalled, match="401"):
        group.call("who")


def test_client_credentials_need_no_person(open_group: Open, server: RunningServer, tmp_path: Path) -> None:
    oauth = credentials(server, CLIENT[1])
    group = open_group(url=own(server, "/mcp"), oauth=oauth, folder=tmp_path)
    assert group.text("who") == "authorized"
    before = len(grants(server))
    again = open_group(url=own(server, "/mcp"), oauth=oauth, folder=tmp_path)
    assert again.text("who") == "authorized" and len(grants(server)) == before, "the stored token is used"
    urllib.request.urlopen(own(server, "/control/expire"), data=b"", timeout=30).close()
    assert group.text("who") == "authorized" and len(grants(server)) == before + 1
    [file] = (tmp_path / "oauth").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700


def test_wrong_credentials_are_an_error_that_says_so(open_group: Open, server: RunningServer) -> None:
    group = open_group(url=own(server, "/mcp"), oauth=credentials(server, "wrong"))
    with pytest.raises(NotCalled, match="Authorization failed") as refused:
        group.call("who")
    assert "wrong" not in str(refused.value)


@pytest.mark.parametrize("paste", [True, False])
def test_a_person_authorizes_once(
    open_group: Open, server: RunningServer, tmp_path: Path, paste: bool
) -> None:
    url = own(server, "/mcp")
    with socket.create_server(("127.0.0.1", 0)) as free:
        redirect_uri = f"http://127.0.0.1:{free.getsockname()[1]}/callback"
    oauth = OAuthSettings(grant="authorization_code", redirect_uri=redirect_uri)
    before = open_group(url=url, oauth=oauth, folder=tmp_path)
    with pytest.raises(NotCalled, match="replaystack authorize mcp::test"):
        before.call("who")

    settings = tmp_path / "replaystack.toml"
    settings.write_text(
        f'data = "{tmp_path}"\n[[toolgroups]]\nid = "mcp::test"\nurl = "{url}"\n'
        f'oauth = {{ grant = "authorization_code", redirect_uri = "{redirect_uri}" }}\n'
    )
    command = [sys.executable, "-m", "stack.cli", "authorize", "mcp::test", "--config", str(settings)]
    command += ["--paste"] if paste else []
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        said = ""
        while not (found := re.search(r"http://\S+/authorize\S+", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        if paste:
            process.stdin.write(f"{redirected(found[0])}\n")
            process.stdin.flush()
        else:
            wait_until(lambda: visited(redirected(found[0])))
        said += process.stdout.read()
    assert process.returncode == 0 and "lists 1 tools" in said

    after = open_group(url=url, oauth=oauth, folder=tmp_path)
    assert after.text("who") == "authorized"
    [file] = (tmp_path / "oauth").iterdir()
    stored = json.loads(file.read_bytes())
    file.write_text(json.dumps(stored | {"expires_at": 1.0}))
    later = open_group(url=url, oauth=oauth, folder=tmp_path)
    assert later.text("who") == "authorized" and grants(server)[-1] == "refresh_token"
    assert json.loads(file.read_bytes())["tokens"] != stored["tokens"]


def visited(url: str) -> bool:
    """Follows the redirect as a browser does; False if no one listens yet."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return b"Done" in answer.read()
    except urllib.error.URLError:
        return False


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def redirected(url: str) -> str:
    """Returns the address to which the authorization server sends a browser."""
    try:
        urllib.request.build_opener(_Stay).open(url, timeout=30)
    except urllib.error.HTTPError as answer:
        with answer:
            return str(answer.headers["location"])
    raise AssertionError("no redirect")
