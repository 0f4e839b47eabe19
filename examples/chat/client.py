#!/usr/bin/python3
"""Asks a model, and prints its answer as it comes; goes on after a lost connection; Ctrl-C stops it.  client.py URL MODEL QUESTION"""

import json
import sys
import urllib.request

gateway, model, question = sys.argv[1:4]
body = json.dumps({"model": model, "messages": [{"role": "user", "content": question}]}).encode()
ndjson = {"Content-Type": "application/json", "Accept": "application/x-ndjson"}
answer = urllib.request.urlopen(urllib.request.Request(gateway + "/api/chat", body, ndjson))
url, token, last = gateway + answer.headers["Headgate-Stream"], None, None
try:
    while last is None:
        try:
            for line in answer:
                message = json.loads(line)
                token = message.get("id", token)
                if message.get("event") in ("end", "failed", "cancelled"):
                    last = message
                elif message.get("data", {}).get("type") == "text":
                    print(message["data"]["text"], end="", flush=True)
        except OSError:
            pass  # the connection is lost, the answer is not
        if last is None:
            answer = urllib.request.urlopen(url + (f"?from={token}" if token else ""))
except KeyboardInterrupt:
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE"))
    last = {"event": "cancelled", "message": "cancelled"}
print()
sys.exit(None if last["event"] == "end" else last["message"])
