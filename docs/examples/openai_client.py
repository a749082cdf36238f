"""A chat completion with the OpenAI SDK (`pip install openai`)."""

import os

from openai import OpenAI

url = os.environ.get("SERVER_URL", "http://127.0.0.1:8321")
client = OpenAI(base_url=f"{url}/v1", api_key="any")
answer = client.chat.completions.create(
    model="demo/extractive",
    messages=[
        {"role": "system", "content": "The harbour opens at ten."},
        {"role": "user", "content": "When does the harbour open?"},
    ],
)
print(answer.choices[0].message.content)
