"""An agent, a session and a streamed turn over plain HTTP (`pip install httpx`)."""

import json
import os

import httpx

url = os.environ.get("SERVER_URL", "http://127.0.0.1:8321")
with httpx.Client(base_url=f"{url}/v1alpha", timeout=60) as http:
    config = {"model": "demo/extractive", "instructions": "Answer from the documents."}
    agent_id = http.post("/agents", json={"agent_config": config}).raise_for_status().json()["agent_id"]
    created = http.post(f"/agents/{agent_id}/session", json={"session_name": "first"}).raise_for_status()
    session = f"/agents/{agent_id}/session/{created.json()['session_id']}"
    turn = {
        "stream": True,
        "messages": [{"role": "user", "content": "When does the harbour open?"}],
        "documents": [{"content": "The harbour opens at ten.", "mime_type": "text/plain"}],
    }
    with http.stream("POST", f"{session}/turn", json=turn) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                payload = json.loads(line.removeprefix("data: "))["event"]["payload"]
                if payload["event_type"] == "step_progress":
                    print(payload["delta"]["text"], end="", flush=True)
    print()
