"""An MCP server over HTTP that requires OAuth tokens, and their authorization server, on one port.

Any visitor is authorized at once. Tokens expire after an hour, and at once after POST /control/expire. `--port 0` prints the
port that was chosen.
"""

from __future__ import annotations

import argparse
import base64
import json
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

CLIENT = ("machine", "machine-secret")

tokens: set[str] = set()
refresh_tokens: set[str] = set()
codes: dict[str, str] = {}
grants: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        own = f"http://127.0.0.1:{self.server.server_address[1]}"  # type: ignore[str-bytes-safe]
        if path.startswith("/.well-known/oauth-protected-resource"):
            self.answer(200, {"resource": f"{own}/mcp", "authorization_servers": [own]})
        elif path.startswith("/.well-known/oauth-authorization-server"):
            self.answer(
                200,
                {
                    "issuer": own,
                    "authorization_endpoint": f"{own}/authorize",
                    "token_endpoint": f"{own}/token",
                    "registration_endpoint": f"{own}/register",
                    "response_types_supported": ["code"],
                    "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
                    "code_challenge_methods_supported": ["S256"],
                },
            )
        elif path == "/authorize":
            code = secrets.token_hex(8)
            codes[code] = query["redirect_uri"]
            to = f"{query['redirect_uri']}?code={code}&state={quote(query['state'])}"
            self.answer(302, None, {"location": to})
        elif path == "/control/grants":
            self.answer(200, grants)
        else:
            self.answer(405, None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        match urlsplit(self.path).path:
            case "/mcp":
                self.mcp(json.loads(body))
            case "/register":
                self.answer(201, json.loads(body) | {"client_id": "registered", "client_secret": "s"})
            case "/token":
                self.token(dict(parse_qsl(body.decode())))
            case "/control/expire":
                tokens.clear()
                self.answer(200, {})

    def token(self, form: dict[str, str]) -> None:
        grants.append(form["grant_type"])
        given = self.headers.get("authorization", "").partition(" ")[2]
        known = {
            "client_credentials": base64.b64decode(given).decode() == ":".join(CLIENT),
            "authorization_code": codes.pop(form.get("code", ""), None) == form.get("redirect_uri"),
            "refresh_token": form.get("refresh_token") in refresh_tokens,
        }
        if not known[form["grant_type"]]:
            return self.answer(401, {"error": "invalid_client"})
        made: dict[str, Any] = {
            "access_token": secrets.token_hex(8),
            "token_type": "Bearer",
            "expires_in": 3600,
        }
        tokens.add(made["access_token"])
        if form["grant_type"] != "client_credentials":
            made["refresh_token"] = secrets.token_hex(8)
            refresh_tokens.add(made["refresh_token"])
        return self.answer(200, made)

    def mcp(self, message: dict[str, Any]) -> None:
        if self.headers.get("authorization", "").removeprefix("Bearer ") not in tokens:
            return self.answer(401, None, {"www-authenticate": "Bearer"})
        result: dict[str, Any]
        match message["method"]:
            case "initialize":
                about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "o", "version": "1"}}
                result = {"protocolVersion": "2025-06-18", **about}
            case "tools/list":
                result = {"tools": [{"name": "who", "inputSchema": {"type": "object"}}]}
            case "tools/call":
                result = {"content": [{"type": "text", "text": "authorized"}]}
            case _ if "id" in message:
                error = {"code": -32601, "message": "no such method"}
                return self.answer(200, {"jsonrpc": "2.0", "id": message["id"], "error": error})
            case _:
                return self.answer(202, None)
        return self.answer(200, {"jsonrpc": "2.0", "id": message["id"], "result": result})

    def answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
