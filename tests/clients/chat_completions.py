"""llama-stack-client 0.2.x and 0.3.x: chat completions in the OpenAI form. Prints what it found as JSON.

python chat_completions.py '"http://127.0.0.1:8321"' '"scripted/text;chunks=3"'
"""

from __future__ import annotations

import json
import sys

import llama_stack_client
from llama_stack_client import LlamaStackClient

url, model = (json.loads(argument) for argument in sys.argv[1:])
client = LlamaStackClient(base_url=url, max_retries=0)
messages = [{"role": "user", "content": "Hello"}]

whole = client.chat.completions.create(model=model, messages=messages)
chunks = list(client.chat.completions.create(model=model, messages=messages, stream=True))
try:
    client.chat.completions.create(model="no one/knows", messages=messages)
    status, words = 200, ""
except llama_stack_client.APIStatusError as error:
    status, words = error.status_code, str(error)

print(
    json.dumps(
        {
            "whole": whole.choices[0].message.content,
            "streamed": "".join(chunk.choices[0].delta.content or "" for chunk in chunks),
            "finish_reason": chunks[-1].choices[0].finish_reason,
            "unknown": [status, "GET /v1/models" in words],
        }
    )
)
