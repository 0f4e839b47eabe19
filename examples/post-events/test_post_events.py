"""The example's commands: a job's events on SSE, and what Kafka keeps."""

import json
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def test_the_commands_of_the_readme(example, kafka):
    kafka.topic(name="audit")
    gateway = example(HERE)
    watcher = gateway.subscribe("jobs", "sse", key="build-7")
    job = [os.path.join(HERE, "job.sh"), f"http://127.0.0.1:{gateway.port}", "build-7", "20"]
    done = subprocess.run(job, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["count"] == 1
    events = watcher.records(22)
    assert [event.event for event in events] == ["start"] + ["progress"] * 20 + ["complete"]
    steps = [json.loads(event.text)["data"].get("step") for event in events]
    assert steps == [None, *range(1, 21), None]
    kept = gateway.subscribe("audit", "ndjson", **{"from": "earliest"}).records(1)
    assert json.loads(kept[0].text)["data"] == "build-7 is done"
