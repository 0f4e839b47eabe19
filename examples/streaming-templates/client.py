#!/usr/bin/python3
"""Reads every path of the example with httpx, and prints what came of it, one JSON object a path.  client.py [URL]"""

import hashlib
import json
import sys

import httpx


def lines(answer):
    """The lines of a body as they come; empty ones are heartbeats."""
    answer.raise_for_status()
    for line in answer.iter_lines():
        if line.strip():
            yield line.strip()


def read_rows(client, path):
    """The rows alone. A failure cuts the body short, and is an error of httpx."""
    with client.stream("GET", path) as answer:
        yield from map(json.loads, lines(answer))


def read_ndjson(client, path):
    """Records; the control messages among them have "event"."""
    with client.stream("GET", path, headers={"Accept": "application/x-ndjson"}) as answer:
        for line in lines(answer):
            message = json.loads(line)
            if message.get("event") == "failed":
                raise RuntimeError(message["message"])
            if "event" not in message:
                yield message["data"]


def read_sse(client, path):
    """A parser for what Headgate sends: one line of data an event."""
    name = None
    with client.stream("GET", path, headers={"Accept": "text/event-stream"}) as answer:
        for line in lines(answer):
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                message = json.loads(value)
                if name == "failed":
                    raise RuntimeError(message["message"])
                if name is None:
                    yield message["data"]
                name = None


def read_file(client, path):
    digest = hashlib.sha256()
    with client.stream("GET", path) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes():
            digest.update(part)
    return digest.hexdigest()


def main(base):
    with httpx.Client(base_url=base, timeout=30) as client:
        rows = list(read_rows(client, "/stream/data?after=10"))
        print(json.dumps({"path": "/stream/data", "rows": len(rows), "first": rows[0]}))
        events = list(read_sse(client, "/stream/events?from=earliest&limit=3"))
        print(json.dumps({"path": "/stream/events", "texts": [event["text"] for event in events]}))
        users = list(read_ndjson(client, "/stream/users?country=fr"))
        print(json.dumps({"path": "/stream/users", "rows": len(users), "first": users[0]}))
        print(json.dumps({"path": "/stream/file/report.csv", "sha256": read_file(client, "/stream/file/report.csv")}))
        points = client.get("/stream/large-array").json()  # whole in memory: ijson reads it as it comes
        print(json.dumps({"path": "/stream/large-array", "rows": len(points), "last": points[-1]}))
        tokens = [token["token"] for token in read_sse(client, "/api/generate?answer=headgate&speed=4")]
        print(json.dumps({"path": "/api/generate", "text": "".join(tokens)}))


main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080")
