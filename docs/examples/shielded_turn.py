"""A turn that a shield ends, over plain HTTP (`pip install httpx`). The server needs a shield, for example:

REPLAYSTACK_SHIELDS='[{"id": "secrets", "kind": "pattern", "patterns": [{"name": "key", "pattern": "AKIA[0-9A-Z]{16}"}]}]'
"""

import os

import httpx

url = os.environ.get("SERVER_URL", "http://127.0.0.1:8321")
with httpx.Client(base_url=f"{url}/v1alpha", timeout=60) as http:
    config = {
        "model": "demo/extractive",
        "instructions": "Answer from the documents.",
        "input_shields": ["secrets"],
        "output_shields": ["secrets"],
    }
    agent_id = http.post("/agents", json={"agent_config": config}).raise_for_status().json()["agent_id"]
    created = http.post(f"/agents/{agent_id}/session", json={"session_name": "first"}).raise_for_status()
    session = f"/agents/{agent_id}/session/{created.json()['session_id']}"
    for question in ("When does the harbour open?", "What is the key AKIA0123456789ABCDEF for?"):
        turn = {
            "messages": [{"role": "user", "content": question}],
            "documents": [{"content": "The harbour opens at ten.", "mime_type": "text/plain"}],
        }
        answered = http.post(f"{session}/turn", json=turn).raise_for_status().json()
        print([step["step_type"] for step in answered["steps"]], answered["output_message"]["content"])
