"""What the end-to-end tests run: the gateway as a process, and the two kinds of Kafka.

The binary is $HEADGATE, the tools (mockbroker, sub) are in $E2E_TOOLS; both default to build/.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import confluent_kafka

from wire import Http, Subscription

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEADGATE = os.path.abspath(os.environ.get("HEADGATE") or os.path.join(ROOT, "build/headgate"))
TOOLS = os.path.abspath(os.environ.get("E2E_TOOLS") or os.path.join(ROOT, "build/e2e"))
SCALE_FULL = os.environ.get("E2E_SCALE") == "full"
SANITIZED = "/asan/" in HEADGATE or "/tsan/" in HEADGATE

sys.path[:0] = [os.path.join(ROOT, "tests", name) for name in ("kafka", "ports")]
import ports  # noqa: E402
from kafka_broker import KafkaBroker  # noqa: E402

free_port = ports.GATEWAYS.free
SANITIZER_REPORT = re.compile(r"(Address|Leak|Thread|Memory)Sanitizer|runtime error:")


def wait_for(condition, what, timeout_s=60, every_s=0.05):
    """The condition's first true value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s for {what}")
        time.sleep(every_s)


class Program:
    """A process under test, and what it costs. It has .process and .log_path."""

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_share(self, seconds=1.0):
        """Which part of a core it used over the next seconds."""
        before, start = self.cpu_s(), time.monotonic()
        time.sleep(seconds)
        return (self.cpu_s() - before) / (time.monotonic() - start)

    def wanted_share(self, seconds=1.0):
        """Which part of a core it used over the next seconds, or waited for: what spins wants all, however little
        it gets on a busy machine."""
        before, start = self._wanted_ns(), time.monotonic()
        time.sleep(seconds)
        return (self._wanted_ns() - before) / 1e9 / (time.monotonic() - start)

    def _wanted_ns(self):
        wanted = 0
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(FileNotFoundError), open(  # it has ended meanwhile
                f"/proc/{self.pid}/task/{thread}/schedstat", encoding="ascii"
            ) as file:
                ran, waited, _ = file.read().split()
            wanted += int(ran) + int(waited)
        return wanted

    def wait_rest(self, share=0.2, seconds=1.0, left_s=4 if SANITIZED else 1):
        """Until it has used less than this part of a core for so long. What a flood left to do is little, however
        long a busy machine takes for it: no more than left_s of the CPU; what spins uses that up."""
        begun = self.cpu_s()

        def rests():
            assert self.cpu_s() - begun <= left_s, f"not at rest: {self.cpu_s() - begun:.2f} s of the CPU"
            return self.cpu_share(seconds) < share

        wait_for(rests, f"less than {share} of a core", every_s=0)

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def connections(self):
        """How many TCP sockets it has beside those that listen."""
        with open("/proc/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in list(file)[1:]]
        found, inodes = 0, {f"socket:[{row[9]}]" for row in rows if row[3] != "0A"}
        directory = f"/proc/{self.pid}/fd"
        for name in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found += os.readlink(os.path.join(directory, name)) in inodes
        return found


class Gateway(Program):
    """`headgate run` on free ports. config is the file's content as a dict, listeners excepted."""

    def __init__(self, directory, config):
        self.port, self.admin_port = free_port(), free_port()
        self.config = {
            "listen": f"127.0.0.1:{self.port}", "admin": f"127.0.0.1:{self.admin_port}", **config,
            "drain": {"grace": "0s", "timeout": "5s", **config.get("drain", {})},
        }
        self.path = os.path.join(directory, f"gateway-{self.port}.yaml")
        self.log_path = os.path.join(directory, f"gateway-{self.port}.log")
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump(self.config, file, indent=2)  # JSON is YAML
        self.process = None
        self._subscriptions = []

    def start(self, ready=True, limits=(), under=()):
        """limits: arguments of prlimit, as --nofile=64. under: a command that runs it."""
        command = [*under, HEADGATE, "run", "-c", self.path]
        if limits:
            command = ["prlimit", *limits, *command]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment()
            )
        self.wait_answers()
        if ready:
            self.wait_ready()
        return self

    @staticmethod
    def _environment():
        suppressions = os.path.join(ROOT, "tests", "sanitizers")
        environment = dict(os.environ)
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
        for name in ("lsan", "tsan"):
            path = os.path.join(suppressions, f"{name}.supp")
            if os.path.exists(path):
                environment.setdefault(f"{name.upper()}_OPTIONS", f"suppressions={path}")
        return environment

    def wait_answers(self):
        def answers():
            assert self.process.poll() is None, f"exit {self.process.returncode}:\n{self.log()}"
            try:
                socket.create_connection(("127.0.0.1", self.admin_port), timeout=1).close()
                return True
            except OSError:
                return False

        wait_for(answers, "the admin listener")

    def wait_ready(self, timeout_s=60):
        """Until /readyz says 200 and every source is up."""
        wait_for(lambda: self.admin("/readyz").status == 200, "/readyz", timeout_s)
        for stream in self.config.get("streams", {}):
            wait_for(lambda: self.metric("source_up", stream=stream) == 1, "source_up", timeout_s)

    # -- asking it

    def admin(self, path):
        http = Http(self.admin_port).get(path, {"Connection": "close"})
        http.text = http.body().decode()
        http.close()
        return http

    def metrics(self):
        """{name: {labels text: value}}"""
        found = {}
        for line in self.admin("/metrics").text.splitlines():
            if line and not line.startswith("#"):
                name, labels, value = re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line).groups()
                found.setdefault(name, {})[labels or ""] = float(value)
        return found

    def metric(self, name, **labels):
        """The sum of the samples that have these labels; headgate_ is left out of the name."""
        samples = self.metrics().get("headgate_" + name, {})
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(value for text, value in samples.items() if all(want in text for want in wanted))

    def wait_metric(self, name, value, timeout_s=60, **labels):
        wait_for(
            lambda: self.metric(name, **labels) == value, f"{name} {labels} == {value}", timeout_s
        )

    def get(self, target, headers=None, **kwargs):
        return Http(self.port).get(target, headers, **kwargs)

    def subscribe(self, stream, transport, **params):
        sub = Subscription(self.port, f"/streams/{stream}", transport, **params)
        self._subscriptions.append(sub)
        return sub

    def wait_subscribers(self, count, timeout_s=60):
        self.wait_metric("subscribers", count, timeout_s)

    # -- its end

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait_exit(self, timeout_s=60):
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running {timeout_s} s after SIGTERM:\n{self.log()}") from None

    def stop(self):
        """SIGTERM, exit 0, and no report of a sanitizer in the log."""
        for sub in self._subscriptions:
            sub.close()
        if self.process and self.process.poll() is None:
            self.terminate()
        if self.process:
            status = self.wait_exit()
            assert status == 0, f"exit {status}:\n{self.log()[-6000:]}"
        assert not SANITIZER_REPORT.search(self.log()), self.log()[-12000:]


class Kafka:
    """What both kinds of Kafka can do. One lives as long as the test session."""

    name = None
    client_options = {}

    def __init__(self):
        self._producer = None
        self._topics = 0

    @property
    def bootstrap(self):
        raise NotImplementedError

    def new_name(self):
        self._topics += 1
        return f"t{self._topics}"

    def topic(self, partitions=1, name=None, config=None):
        name = name or self.new_name()
        self.create_topic(name, partitions, config)
        return name

    def source(self, topics, start="earliest", **more):
        """The source: of a stream's configuration."""
        topics = [topics] if isinstance(topics, str) else topics
        options = {**self.client_options, **more.pop("librdkafka_options", {})}
        return {"kafka": {
            "brokers": self.bootstrap, "topics": topics, "start": start,
            "librdkafka_options": options, **more,
        }}

    @property
    def producer(self):
        if not self._producer:
            self._producer = confluent_kafka.Producer({
                "bootstrap.servers": self.bootstrap, "linger.ms": 2, "acks": 1,
                "message.max.bytes": 20 * 1024 * 1024, "log_level": 0, "retries": 0,
                "queue.buffering.max.messages": 2000000, "queue.buffering.max.kbytes": 1048576,
                "topic.metadata.refresh.fast.interval.ms": 100,
                "reconnect.backoff.max.ms": 500,
            })
        return self._producer

    def produce(self, topic, *records):
        """Records are payloads, or dicts of value, key, headers, partition, timestamp; delivered
        when this returns."""
        self._deliver(
            topic, (rec if isinstance(rec, dict) else {"value": rec} for rec in records)
        )

    def burst(self, topic, count, partitions=1, size=100, first=0):
        """count small JSON objects, {"n":first} and on, spread evenly over the partitions."""
        pad = "x" * max(0, size - 24)
        self._deliver(topic, (
            {"value": f'{{"n":{n},"pad":"{pad}"}}', "partition": n % partitions}
            for n in range(first, first + count)
        ))

    def _deliver(self, topic, records, timeout_s=60):
        """All of them. librdkafka 2.0 at times does not wake its broker thread for what is to be
        sent, which then goes out at the next tick, up to a second later: a metadata request
        wakes it."""
        failures, delivered = [], 0

        def report(error, _message):
            nonlocal delivered
            delivered += 1
            if error:
                failures.append(error)

        sent = 0
        for record in records:
            self.producer.produce(topic, on_delivery=report, **record)
            sent += 1
            if sent % 1000 == 0:
                self.producer.poll(0)
        deadline = time.monotonic() + timeout_s
        while delivered < sent:
            assert time.monotonic() < deadline, f"{sent - delivered} records are not delivered"
            if self.producer.poll(0.02) == 0 and delivered < sent:
                try:
                    self.producer.list_topics(topic, timeout=1)
                except confluent_kafka.KafkaException:
                    pass
        assert not failures, failures[0]


class MockKafka(Kafka):
    """librdkafka's mock cluster: 5 MiB a partition, no deletion, no look-up by time."""

    name = "mock"
    # A record that is produced does not wake a fetch that waits in the mock cluster.
    client_options = {"fetch.wait.max.ms": 10}

    def __init__(self):
        super().__init__()
        self._process = subprocess.Popen(
            [os.path.join(TOOLS, "mockbroker")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )
        self._bootstrap = self._process.stdout.readline().strip()

    @property
    def bootstrap(self):
        return self._bootstrap

    def _tell(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer == "ok", f"{line}: {answer}"

    def create_topic(self, name, partitions, _config=None):
        self._tell(f"topic {name} {partitions}")

    def down(self):
        self._tell("down")

    def up(self):
        self._tell("up")

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)


class RealKafka(Kafka):
    name = "kafka"

    def __init__(self, directory):
        super().__init__()
        self.broker = KafkaBroker(directory).start()

    @property
    def bootstrap(self):
        return self.broker.bootstrap

    def create_topic(self, name, partitions, config=None):
        self.broker.create_topic(name, partitions, config)

    def down(self):
        self.broker.stop()

    def up(self):
        self.broker.start()

    def close(self):
        self.broker.stop()


class Subs:
    """The tool sub: many subscribers in a process. See sub.c."""

    def __init__(self, gateway, stream, ws=0, sse=0, ndjson=0, expect=0, timeout_s=60, stall=False,
                 **params):
        query = "&".join(f"{name}={value}" for name, value in {"envelope": "full", **params}.items())
        command = [
            os.path.join(TOOLS, "sub"), "--port", str(gateway.port),
            "--target", f"/streams/{stream}?{query}", "--ws", str(ws), "--sse", str(sse),
            "--ndjson", str(ndjson), "--expect", str(expect), "--timeout", str(timeout_s),
        ] + (["--stall"] if stall else [])
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.timeout_s = timeout_s
        first = self.process.stdout.readline()
        assert first == "ready\n", first

    def read(self):
        self.process.stdin.write("read\n")
        self.process.stdin.flush()

    def report(self):
        """End now, whatever there is."""
        self.process.stdin.write("report\n")
        self.process.stdin.flush()
        return self.wait()

    def wait(self):
        """The reports, one a subscriber."""
        lines = self.process.stdout.read().splitlines()
        self.process.stdin.close()
        self.process.wait(self.timeout_s)
        return [json.loads(line) for line in lines]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
