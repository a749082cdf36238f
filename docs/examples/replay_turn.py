"""The stream of a finished turn once more, frame by frame, at ten times its pace (`pip install httpx`)."""

import os
import sys

import httpx

url = os.environ.get("SERVER_URL", "http://127.0.0.1:8321")
with httpx.Client(base_url=f"{url}/v1alpha", timeout=60) as http:
    for agent in http.get("/agents").raise_for_status().json()["data"]:
        sessions = f"/agents/{agent['agent_id']}/sessions"
        for session in http.get(sessions).raise_for_status().json()["data"]:
            path = f"/agents/{agent['agent_id']}/session/{session['session_id']}"
            for turn in http.get(path).raise_for_status().json()["turns"]:
                with http.stream("GET", f"{path}/turn/{turn['turn_id']}/stream?speed=10") as stream:
                    for piece in stream.iter_text():
                        sys.stdout.write(piece)
