"""Paths of OpenAI's API that are not served say so in OpenAI's form of an error."""

from __future__ import annotations

import httpx
import openai
import pytest

from tests.server.api import check_error
from tests.server.process import Replaystack

UNSERVED = [
    ("POST", "/v1/responses"),
    ("GET", "/v1/responses/resp_1"),
    ("POST", "/v1/responses/resp_1/cancel"),
    ("GET", "/v1/files"),
    ("GET", "/v1/files/file-1/content"),
    ("POST", "/v1/batches"),
    ("POST", "/v1/audio/speech"),
    ("POST", "/v1/images/generations"),
    ("POST", "/v1/audio/transcriptions"),
    ("GET", "/v1/vector_stores"),
    ("GET", "/v1/fine_tuning/jobs"),
    ("POST", "/v1/conversations"),
    ("GET", "/v1/chat/completions/chatcmpl-1"),
    ("POST", "/v1/openai/v1/responses"),
    ("POST", "/v1/openai/v1/files"),
    ("PUT", "/v1/responses"),
]


@pytest.mark.parametrize(("method", "path"), UNSERVED)
def test_a_path_that_is_not_served_says_so(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path, json={"model": "x"})
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert set(answer.json()) == {"error"} and set(error) == {"message", "type", "param", "code"}
    assert f"{method} {path} is not served here" in error["message"]
    assert "/v1/chat/completions" in error["message"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "unknown_url")


def test_a_method_that_is_not_served_has_the_same_form(client: httpx.Client) -> None:
    answer = client.get("/v1/chat/completions")
    assert answer.status_code == 405 and answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/v1/filesystem", "/v1/eval", "/v1alpha/responses", "/v1/"])
def test_other_paths_keep_the_contracts_form(client: httpx.Client, path: str) -> None:
    check_error(client.get(path), 404)


def test_openais_client_raises_what_it_does_for_openai(server: Replaystack) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError, match="responses is not served here"):
            client.responses.create(model="scripted/text", input="hello")
        with pytest.raises(openai.NotFoundError, match="batches is not served here"):
            client.batches.list()
        with pytest.raises(openai.BadRequestError, match="unknown shield"):
            client.moderations.create(model="scripted/text", input="hello")
        with pytest.raises(openai.NotFoundError, match="scripted-no"):
            client.chat.completions.create(
                model="scripted-no/such", messages=[{"role": "user", "content": "hello"}]
            )
