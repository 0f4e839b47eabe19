"""A durable NDJSON consumer that is killed at random gets every record at least once; with acks, what is
repeated is at most what was in flight.

The client is a process that SIGKILL ends: it writes each number it got to a file, in one write a
record, and acks after that. `make accept` kills it 100 times."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from harness import HEADGATE, SCALE_FULL, ROOT, wait_for
from test_durable import group_of, stream, unique
from test_group import kill, wait_committed

pytestmark = pytest.mark.accept

KILLS = 100 if SCALE_FULL else 6
IN_FLIGHT = 200

CLIENT = r"""
import json, os, socket, sys, time
sys.path.insert(0, sys.argv[1])
from wire import Http, Subscription
port, name, acks, path = int(sys.argv[2]), sys.argv[3], sys.argv[4] == "client", sys.argv[5]
out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
sub = Subscription(port, "/streams/s", "ndjson", consumer=name, ack=sys.argv[4], **{"from": "earliest"})
poster, got = Http(port), 0
poster.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body are two writes
while True:
    message = sub.next(600)
    if message.event is not None:
        continue
    record = json.loads(message.text)
    os.write(out, b"%d\n" % record["data"]["n"])
    got += 1
    if acks and (got % 20 == 0 or b"\n" not in sub._lines):
        body = json.dumps({"id": record["id"]})
        poster.request("POST", "/streams/s/consumers/%s/ack" % name,
                       {"Content-Length": str(len(body))}, body=body.encode())
        assert poster.status in (204, 409), poster.status
        if poster.status == 409:
            poster.body()
"""


class Consumer:
    """The client, started again whenever it is killed. .runs: what each of its lives wrote."""

    def __init__(self, directory, port, name, mode):
        self.directory, self.port, self.name, self.mode = directory, port, name, mode
        self.paths, self.process = [], None

    def start(self):
        self.paths.append(os.path.join(self.directory, f"{self.name}-{len(self.paths)}"))
        self.process = subprocess.Popen([
            sys.executable, "-c", CLIENT, os.path.join(ROOT, "tests", "e2e"), str(self.port),
            self.name, self.mode, self.paths[-1],
        ], stderr=subprocess.DEVNULL)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def lives(self):
        found = []
        for path in self.paths:
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    found.append([int(line) for line in file.read().split("\n")[:-1]])
        return found

    def count(self):
        return sum(len(life) for life in self.lives())


class Producing:
    """A thread that produces until it is told to stop."""

    def __init__(self, kafka, topic, partitions):
        self.kafka, self.topic, self.partitions = kafka, topic, partitions
        self.produced, self.stopped = 0, threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.stopped.wait(0.05):
            self.kafka.burst(self.topic, 40, self.partitions, 200, first=self.produced)
            self.produced += 40

    def stop(self):
        self.stopped.set()
        self.thread.join()
        return self.produced


@pytest.mark.parametrize("mode", ["client", "sent"])
def test_a_consumer_that_is_killed_at_random_gets_every_record(kafka, gateways, tmp_path, mode):
    topic, name = kafka.topic(3), unique(kafka)
    gateway = gateways(s=stream(kafka, topic, max_in_flight=IN_FLIGHT))
    producing = Producing(kafka, topic, 3)
    consumer, chance = Consumer(tmp_path, gateway.port, name, mode), random.Random(7)
    try:
        for _ in range(KILLS):
            consumer.start()
            before = consumer.count()
            wait_for(lambda: consumer.count() > before, "records", 60)
            time.sleep(chance.uniform(0, 1))
            consumer.kill()
    finally:
        produced = producing.stop()
    consumer.start()
    wait_committed(kafka, group_of(name), topic, counts(produced, 3), 120)
    consumer.kill()
    lives = consumer.lives()
    seen = [n for life in lives for n in life]
    repeats = len(seen) - len(set(seen))
    worst = most_repeated(lives)
    print(f"{mode}: {KILLS} kills, {produced} records, {len(seen)} received, {repeats} repeated, "
          f"at most {worst} after a kill")
    assert set(seen) == set(range(produced))
    for life in lives:
        assert len(set(life)) == len(life), "nothing twice on one connection"
    if mode == "client":
        assert worst <= IN_FLIGHT
    assert gateway.metric("consumer_in_flight_records", stream="s") == 0


def counts(produced, partitions):
    return [len(range(p, produced, partitions)) for p in range(partitions)]


def most_repeated(lives):
    """The largest number of records that one life had again from the lives before it."""
    known, worst = set(), 0
    for life in lives:
        worst = max(worst, len(known & set(life)))
        known |= set(life)
    return worst


def test_gateways_that_are_killed_lose_nothing_of_a_consumer(kafka, gateways, tmp_path):
    """Two gateways, a connection to each; one gateway after the other is killed and comes back."""
    topic, name = kafka.topic(4), unique(kafka)
    pair = [gateways(s=stream(kafka, topic, max_in_flight=IN_FLIGHT)) for _ in range(2)]
    consumers = [Consumer(tmp_path, gateway.port, name, "client") for gateway in pair]
    for number, consumer in enumerate(consumers):
        consumer.name, consumer.directory = name, os.path.join(tmp_path, str(number))
        os.mkdir(consumer.directory)
        consumer.start()
    producing = Producing(kafka, topic, 4)
    try:
        for turn in range(KILLS // 5 + 1):
            total = sum(consumer.count() for consumer in consumers)
            wait_for(
                lambda: sum(consumer.count() for consumer in consumers) > total + 100, "records", 90
            )
            gateway, consumer = pair[turn % 2], consumers[turn % 2]
            kill(gateway)
            consumer.process.wait(20)
            gateway.start()
            consumer.start()
    finally:
        produced = producing.stop()
    wait_committed(kafka, group_of(name), topic, counts(produced, 4), 120)
    for consumer in consumers:
        consumer.kill()
    seen = [n for consumer in consumers for life in consumer.lives() for n in life]
    print(f"{KILLS // 5 + 1} gateways killed, {produced} records, {len(seen) - len(set(seen))} repeated")
    assert set(seen) == set(range(produced))


def whole_lines(path):
    """The numbers of the records, and how many lines a SIGKILL has torn."""
    numbers, torn = [], 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                numbers.append(json.loads(line)["data"]["n"])
            except json.JSONDecodeError:
                torn += line.endswith("\n")
    return numbers, torn


def test_tail_prints_every_record_of_a_consumer_though_it_is_killed(kafka, gateways, tmp_path):
    topic, name = kafka.topic(2), unique(kafka)
    gateway = gateways(s=stream(kafka, topic))
    kafka.burst(topic, 6000, 2, 300)
    path = os.path.join(tmp_path, "out")
    url = f"http://127.0.0.1:{gateway.port}/streams/s"
    command = [HEADGATE, "tail", url, "--consumer", name, "--ack", "client", "--from", "earliest"]

    def printed():
        return whole_lines(path)[0]

    for last in range(3):
        with open(path, "ab") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        wait_for(lambda: len(printed()) > 2000 * last, "output", 60)
        if last < 2:
            process.kill()
            process.wait()
    wait_for(lambda: set(printed()) == set(range(6000)), "all of it", 60)
    wait_committed(kafka, group_of(name), topic, [3000, 3000], 60)
    process.terminate()
    assert process.wait(20) == 0
    assert whole_lines(path)[1] <= 2, "each kill tears one line at the most"
