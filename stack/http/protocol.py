"""HTTP/1.1 of the server: uvicorn's, with our error body for what is not HTTP at all."""

from __future__ import annotations

import secrets

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stack.errors import Invalid
from stack.http.error import error_response_parts


class Protocol(HttpToolsProtocol):
    """What cannot be parsed never reaches the application, so its refusal is written here."""

    def send_400_response(self, msg: str) -> None:
        """Refuses and closes the connection; an answer that is under way is broken off instead."""
        if not (self.cycle and self.cycle.response_started and not self.cycle.response_complete):
            refusal = Invalid("The request is not valid HTTP/1.1.")
            _, headers, body = error_response_parts(refusal)
            headers += [(b"x-trace-id", secrets.token_hex(16).encode()), (b"connection", b"close")]
            lines = [b"%b: %b\r\n" % header for header in headers]
            self.transport.write(b"".join([b"HTTP/1.1 400 Bad Request\r\n", *lines, b"\r\n", body]))
        self.transport.close()
