"""Many rotations of all kinds while lines are written: none is lost, none comes twice. 24 of them; with E2E_SCALE=full
200, as the file source was accepted with."""

import json
import os
import random
import shutil
import subprocess
import threading
import time

import pytest

from conftest import needs
from harness import SCALE_FULL, wait_for

ROTATIONS = 200 if SCALE_FULL else 24
KEEP = 12  # rotated files of each kind: what is older is deleted, as logrotate does


class Writer(threading.Thread):
    """Appends a few lines a millisecond, by path: after a rename they go to a new file."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.written = path, 0
        self.lock = threading.Lock()
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.001):
            with self.lock, open(self.path, "ab", buffering=0) as file:
                for _ in range(random.randint(1, 5)):
                    file.write(f'{{"n":{self.written}}}\n'.encode())
                    self.written += 1


class Reader(threading.Thread):
    def __init__(self, sub):
        super().__init__(daemon=True)
        self.sub, self.numbers, self.wanted = sub, [], None

    def run(self):
        try:
            while self.wanted is None or len(self.numbers) < self.wanted:
                self.numbers.append(json.loads(self.sub.records(1, timeout_s=1)[0].text)["data"]["n"])
        except TimeoutError:
            if self.wanted is None:  # the writer may have been held up
                self.run()


class Rotator:
    """Each method is one way. What is written between a copy and its truncation is in neither file, with every program that
    rotates so: there, and only there, the writer waits."""

    def __init__(self, directory, writer):
        self.directory, self.writer, self.path = directory, writer, writer.path
        self.count = 0

    def _name(self):
        self.count += 1
        old = f"{self.path}-{self.count - KEEP}"
        if os.path.exists(old):
            os.unlink(old)
        return f"{self.path}-{self.count}"

    def rename_and_create(self):
        os.rename(self.path, self._name())
        open(self.path, "ab").close()

    def rename(self):
        os.rename(self.path, self._name())

    def copy_and_truncate(self):
        with self.writer.lock:
            shutil.copyfile(self.path, self._name())
            os.truncate(self.path, 0)

    def logrotate_create(self):
        # It makes the file anew after the rename, and moves one that the writer has made meanwhile aside.
        with self.writer.lock:
            self._logrotate("create")

    def logrotate_nocreate(self):
        self._logrotate("nocreate")

    def logrotate_copytruncate(self):
        with self.writer.lock:
            self._logrotate("copytruncate")

    def _logrotate(self, kind):
        config = self.directory / f"{kind}.conf"
        config.write_text(f'"{self.path}" {{\n rotate {KEEP}\n {kind}\n missingok\n}}\n')
        config.chmod(0o600)
        command = ["logrotate", "-f", "-s", str(self.directory / "state"), str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


WAYS = ("rename_and_create", "rename", "copy_and_truncate", "logrotate_create", "logrotate_nocreate", "logrotate_copytruncate")


def test_rotations_under_writing_lose_and_repeat_no_line(gateways, tmp_path):
    needs("logrotate", "logrotate")
    directory = tmp_path / "log"
    directory.mkdir(mode=0o700)
    writer = Writer(str(directory / "app.log"))
    open(writer.path, "ab").close()
    gateway = gateways(s={
        "source": {"file": {"path": writer.path, "start": "earliest"}}, "slow": {"policy": "pause"},
    })
    reader = Reader(gateway.subscribe("s", "ndjson", **{"from": "earliest"}))
    rotator = Rotator(directory, writer)
    reader.start()
    writer.start()
    ways = [WAYS[i % len(WAYS)] for i in range(ROTATIONS)]
    random.shuffle(ways)
    try:
        for way in ways:
            before = writer.written
            wait_for(lambda: writer.written > before and os.path.exists(writer.path), "a line", every_s=0.002)
            getattr(rotator, way)()
            time.sleep(random.uniform(0, 0.05))
    finally:
        writer.over.set()
        writer.join()
    reader.wanted = writer.written
    reader.join(120)
    found = reader.numbers
    if found != list(range(writer.written)):
        wrong = next(i for i, n in enumerate([*found, None]) if n != i)
        pytest.fail(f"line {wrong} of {writer.written}: {found[max(0, wrong - 3):wrong + 5]} {reader.sub.gaps} {ways}")
    assert not reader.sub.gaps
    assert gateway.metric("records_in_total", stream="s") == writer.written
