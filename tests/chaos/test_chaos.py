"""Two replicas and a real Apache Kafka, killed and restarted under a swarm of subscribers.

Every subscriber's record is checked by partition and offset as it comes (trace.c): no hole that a
gap does not name and count exactly, no repeat on a connection nor across reconnects, whichever
replica it comes back to. The short form is a minute; `make chaos` is CHAOS_MINUTES long. CHAOS_SEED
chooses among the runs."""

import json
import os
import random
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import harness  # noqa: E402
import kafka_broker  # noqa: E402

TOOLS = os.path.abspath(os.environ.get("CHAOS_TOOLS") or os.path.join(ROOT, "build/chaos"))
MINUTES = float(os.environ.get("CHAOS_MINUTES") or 0)
SEED = int(os.environ.get("CHAOS_SEED") or time.time())
PARTITIONS = 12


class Scale:
    """The short form fits into every change's tests, on a machine that does other work too."""

    seconds = 60 * MINUTES if MINUTES else 45
    subscribers = int(os.environ.get("CHAOS_SUBSCRIBERS") or 200) if MINUTES else 64
    rate = int(os.environ.get("CHAOS_RATE") or (5000 if MINUTES else 1200))
    life_s = 10 if MINUTES else 5
    settle_s = 60  # without a record to anyone
    send_buffer, readers = ("64KiB", 16) if MINUTES else ("8KiB", 8)
    # A few seconds of records, so that some come back in the ring and some by the second lane.
    ring = {"records": 16384, "bytes": "16MiB"} if MINUTES else {"records": 4096, "bytes": "8MiB"}
    queue = {"records": 1024, "bytes": "1MiB"} if MINUTES else {"records": 512, "bytes": "1MiB"}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    why = kafka_broker.available()
    if why:
        if os.environ.get("CI"):
            pytest.fail(f"{why}, and CI must run everything")
        pytest.skip(why)
    backend = harness.RealKafka(tmp_path_factory.mktemp("kafka"))
    yield backend
    backend.close()


@pytest.fixture
def world(kafka, tmp_path):
    world = World(kafka, tmp_path)
    yield world
    world.close()


class Swarm:
    """The subscribers: a process of the tool swarm. See swarm.c."""

    def __init__(self, directory, replicas, subscribers, *options):
        ports = ",".join(str(replica.port) for replica in replicas)
        self.faults = open(os.path.join(directory, f"faults{len(os.listdir(directory))}"), "w+",
                           encoding="utf-8")
        self.process = subprocess.Popen(
            [os.path.join(TOOLS, "swarm"), "--ports", ports, "--subscribers", str(subscribers),
             "--partitions", str(PARTITIONS), "--life", str(Scale.life_s), "--seed", str(SEED),
             *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.faults, text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def finish(self, produced):
        """Everyone gets the rest; what was found, and the status."""
        self.process.stdin.write(f"finish {produced}\n")
        self.process.stdin.flush()
        report = json.loads(self.process.stdout.readline())
        self.process.stdin.close()
        return report, self.process.wait(20)

    def found(self):
        self.faults.seek(0)
        return self.faults.read()[:6000]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.faults.close()


class World:
    """The topic and its producer, two replicas, the swarms."""

    def __init__(self, kafka, directory):
        self.kafka, self.directory = kafka, directory
        self.topic = kafka.topic(PARTITIONS)
        self.catchup_seen = 0
        slow = {"queue": Scale.queue, "conflate_keys": 1000}
        source = kafka.source(self.topic, start="latest")
        every = ["drop_oldest", "drop_newest", "conflate", "disconnect"]
        self.config = {
            "limits": {"send_buffer": Scale.send_buffer, "connections": 4 * Scale.subscribers},
            "catchup": {"readers": Scale.readers},
            "tokens": {"keys": ["the replicas share this key, of 32 bytes or more"]},
            "streams": {
                "s": {"source": source, "ring": Scale.ring, "slow": {**slow, "allow": every}},
                "p": {"source": source, "ring": Scale.ring, "slow": {**slow, "policy": "pause"}},
            },
        }
        self.replicas = [harness.Gateway(directory, self.config).start() for _ in range(2)]
        self.producer, self.swarms = None, []

    def produce(self, rate):
        command = [os.path.join(TOOLS, "produce"), self.kafka.bootstrap, self.topic]
        self.producer = subprocess.Popen(
            [*command, str(PARTITIONS), str(rate)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def produced(self):
        """No more is; how many records there are."""
        self.producer.stdin.close()
        produced = int(self.producer.stdout.read())
        assert self.producer.wait(90) == 0
        return produced

    def subscribe(self, subscribers, *options):
        self.swarms.append(Swarm(self.directory, self.replicas, subscribers, *options))
        return self.swarms[-1]

    # -- what happens to them

    def kill_replica(self, which, away_s):
        replica = self.replicas[which]
        replica.process.kill()
        replica.process.wait()
        time.sleep(away_s)
        replica.start(ready=False)

    def kill_both(self, away_s):
        for replica in self.replicas:
            replica.process.kill()
            replica.process.wait()
        time.sleep(away_s)
        for replica in self.replicas:
            replica.start(ready=False)

    def bounce_broker(self, how, away_s, meanwhile=lambda: None):
        how()
        meanwhile()
        time.sleep(away_s)
        self.kafka.up()

    def watch(self, seconds):
        """Time passes; each process is alive, and the second lane is seen at work."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for replica in self.replicas:
                assert replica.process.poll() is None, replica.log()[-4000:]
                self.catchup_seen += replica.metric("catchup_readers") > 0
            assert self.producer.poll() is None, "the producer has ended"
            assert all(swarm.process.poll() is None for swarm in self.swarms), "a swarm has ended"
            time.sleep(min(0.5, max(0, until - time.monotonic())))

    def close(self):
        for swarm in self.swarms:
            swarm.close()
        if self.producer and self.producer.poll() is None:
            self.producer.kill()
            self.producer.wait()
        for replica in self.replicas:
            replica.stop()


def chaos(world, choice, until):
    """One thing after another, with a moment in between, until the time is over. The first round is
    each of them once, so that the short form has them all."""
    broker = world.kafka.broker
    acts = [
        ("a replica is killed", lambda: world.kill_replica(choice.randrange(2), choice.uniform(0, 2))),
        ("the broker is killed, and a replica while it is down", lambda: world.bounce_broker(
            broker.kill, choice.uniform(0, 2), lambda: world.kill_replica(choice.randrange(2), 0.2))),
        ("both replicas are killed", lambda: world.kill_both(choice.uniform(0, 1))),
        ("the broker is stopped", lambda: world.bounce_broker(broker.stop, choice.uniform(0, 3))),
    ]
    rounds, done = list(acts), []
    while rounds or time.monotonic() < until:
        what, act = rounds.pop(0) if rounds else choice.choice(acts)
        world.watch(choice.uniform(2, 4) if not MINUTES else choice.uniform(3, 9))
        act()
        done.append(what)
    return done


def test_nothing_is_lost_or_repeated_whatever_is_killed(world):
    choice = random.Random(SEED)
    print(f"\nCHAOS_SEED={SEED}")
    world.produce(Scale.rate)
    swarm = world.subscribe(Scale.subscribers, "--settle", str(Scale.settle_s))
    done = chaos(world, choice, time.monotonic() + Scale.seconds)
    world.watch(3)
    report, status = swarm.finish(world.produced())
    print(json.dumps(report))
    print({what: done.count(what) for what in done}, "catch-up seen", world.catchup_seen)
    assert sum(report["faults"].values()) == 0, (report["faults"], swarm.found())
    assert report["incomplete"] == 0 and status == 0
    # That it was chaos at all.
    assert report["resumes"] > 2 * Scale.subscribers
    assert report["cut"] > 0 and world.catchup_seen > 0
    for name, kind in report["kinds"].items():
        assert kind["records"] > 0, name
    for name in ("stalling", "conflate", "sampled", "newest"):
        assert report["kinds"][name]["told"] > 0, f"{name} was never slow"


def test_a_swarm_whose_messages_are_changed_finds_it(world):
    """The run above can fail: messages are left out, given twice, and counts of gaps changed."""
    world.produce(4000)
    kinds = ("hole", "repeat", "gap")
    for kind in kinds:
        world.subscribe(32, "--sabotage", kind, "--settle", "2")
    world.watch(6)
    produced = world.produced()
    for kind, swarm in zip(kinds, world.swarms):
        report, status = swarm.finish(produced)
        assert report["sabotaged"] > 0, report
        assert status == 1
        # Conflation has no holes of its own: there it is the account that does not come out.
        assert report["faults"][kind] >= report["sabotaged"] / 4, (report, swarm.found())
        # It does not wait until all have everything: what is then missing is a hole too.
        expected = {"hole": {"hole", "gap", "token", "stale"}, "repeat": {"repeat", "hole"},
                    "gap": {"gap", "hole"}}[kind]
        others = {name for name, count in report["faults"].items() if count} - expected
        assert not others, (report, swarm.found())
