"""The script prints the errors of a log through a rotation, and goes on where it was."""

import json
import os
import signal
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def write(path, *lines):
    with open(path, "a", encoding="utf-8") as file:
        for level, text in lines:
            line = {"ts": "2026-01-31T12:00:00Z", "level": level, "text": text}
            file.write(json.dumps(line) + "\n")


def run(gateway, token):
    return subprocess.Popen(
        [os.path.join(HERE, "errors.sh"), f"http://127.0.0.1:{gateway.port}", str(token)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )


def end(process):
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()
    process.stdout.close()


def test_errors_come_and_the_next_run_goes_on(example, tmp_path):
    log, token = tmp_path / "app.log", tmp_path / "token"
    write(log, ("error", "before"))
    gateway = example(HERE, LOG=str(log))
    first = run(gateway, token)
    gateway.wait_subscribers(1)
    write(log, ("info", "a"), ("error", "b"))
    assert first.stdout.readline() == "2026-01-31T12:00:00.000Z b\n"
    end(first)
    write(log, ("error", "c"))
    os.rename(log, tmp_path / "app.log.1")
    write(log, ("info", "d"), ("error", "e"))
    second = run(gateway, token)
    assert [second.stdout.readline()[-2:-1] for _ in range(2)] == ["c", "e"]
    end(second)
