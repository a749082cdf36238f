"""Requests to webhooks, signed as the Standard Webhooks specification says."""

from __future__ import annotations

import base64
import hashlib
import hmac

TIMEOUT_S = 10.0


async def deliver(url: str, secret: str, id: str, timestamp_s: int, body: bytes) -> str:
    """Sends one request with a JSON body. Returns why it was not delivered, "" if it was. Redirects are not followed."""
    # Loaded when the first request is sent.
    import httpx2

    headers = {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signature(secret, id, timestamp_s, body),
    }
    try:
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            answer = await client.post(url, content=body, headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return type(error).__name__
    return "" if answer.is_success else f"status {answer.status_code}"


def signature(secret: str, id: str, timestamp_s: int, body: bytes) -> str:
    """Returns `v1,<base64 of HMAC-SHA-256 over id.timestamp.body>`."""
    signed = b".".join((id.encode(), str(timestamp_s).encode(), body))
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
