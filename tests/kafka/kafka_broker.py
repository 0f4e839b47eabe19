"""A real Apache Kafka for tests: one KRaft node on free ports of 127.0.0.1.

    broker = KafkaBroker("some/dir").start()
    broker.create_topic("orders", partitions=6)
    broker.bootstrap            # "127.0.0.1:20123"
    broker.stop()               # SIGTERM, then SIGKILL
    broker.start()              # the same ports, the same data

Everything that a broker knows lies in its directory, so that another process can stop it. The jars
are fetched once, through Maven, into build/kafka/lib.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time

import kafka_wire

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "ports"))
import ports  # noqa: E402

CACHE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build", "kafka")
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
NODE_ID = 1

JVM = [
    "java", "-Xms128m", "-Xmx384m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
    "-Xshare:auto", "-XX:-UsePerfData", "-Djava.awt.headless=true",
    f"-Dlog4j.configuration=file:{HERE}/log4j.properties",
]

PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={node}@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={dir}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
log.initial.task.delay.ms=100
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=1000
file.delete.delay.ms=1000
message.max.bytes=20971520
replica.fetch.max.bytes=20971520
controller.quorum.election.timeout.ms=500
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
background.threads=2
num.partitions=4
"""


class BrokerFailed(Exception):
    pass


def fetch(cache=CACHE):
    """The class path; the jars are brought by Maven when they are not there yet."""
    lib = os.path.join(cache, "lib")
    if not os.path.exists(os.path.join(cache, "fetched")):
        _need("mvn", "maven")
        os.makedirs(cache, exist_ok=True)
        command = [
            "mvn", "-q", "-B", "-f", os.path.join(HERE, "pom.xml"), "dependency:copy-dependencies",
            f"-DoutputDirectory={lib}", "-DincludeScope=runtime",
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        open(os.path.join(cache, "fetched"), "w").close()
    # In a fixed order, with no wildcard: class data sharing depends on it.
    return ":".join(os.path.join(lib, name) for name in sorted(os.listdir(lib)))


def available():
    """None, or the reason why no broker can be had on this machine."""
    for program, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")):
        if not shutil.which(program):
            return f"no {program}: install the package {package}"
    return None


def _need(program, package):
    if not shutil.which(program):
        raise BrokerFailed(f"no {program}: install the package {package}")


class KafkaBroker:
    def __init__(self, directory, cache=CACHE):
        self.dir = os.path.abspath(directory)
        self.cache = cache
        self._process = None

    # -- what lies in the directory

    def _path(self, name):
        return os.path.join(self.dir, name)

    def _read(self, name):
        try:
            with open(self._path(name), encoding="utf-8") as file:
                return file.read().strip()
        except FileNotFoundError:
            return None

    def _write(self, name, text):
        with open(self._path(name), "w", encoding="utf-8") as file:
            file.write(text)

    @property
    def port(self):
        return int(self._read("port"))

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    @property
    def log_path(self):
        return self._path("kafka.log")

    # -- the process

    @property
    def pid(self):
        """The pid of the broker when it runs, else None. A pid that was reused does not count."""
        if self._process and self._process.poll() is not None:
            return None
        pid = self._read("pid")
        if not pid:
            return None
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return int(pid) if self._path("server.properties").encode() in file.read() else None
        except OSError:
            return None

    def start(self, timeout_s=180):
        """Start, and wait until it answers. The first time the ports are chosen and the storage is
        formatted; later starts keep both."""
        if self.pid:
            return self
        _need("java", "openjdk-17-jre-headless")
        if not self._read("port"):
            self._set_up()
        command = JVM + ["-cp", fetch(self.cache), "kafka.Kafka", self._path("server.properties")]
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._write("pid", f"{self._process.pid}\n")
        self._wait_ready(timeout_s)
        return self

    def _set_up(self):
        os.makedirs(self.dir, exist_ok=True)
        port, controller = ports.SERVERS.free(), ports.SERVERS.free()
        text = PROPERTIES.format(node=NODE_ID, port=port, controller=controller, dir=self.dir)
        self._write("server.properties", text)
        self._format()
        self._write("port", f"{port}\n")

    def _format(self):
        """A formatted storage is the same for every broker: made once, then copied."""
        os.makedirs(self.cache, exist_ok=True)
        made = os.path.join(self.cache, "formatted")
        with open(os.path.join(self.cache, "lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            class_path = fetch(self.cache)
            if not os.path.exists(made):
                command = JVM + ["-cp", class_path, "kafka.tools.StorageTool", "format"]
                command += ["-t", CLUSTER_ID, "-c", self._path("server.properties")]
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
                )
                if done.returncode:
                    raise BrokerFailed(f"format: {done.stdout}{done.stderr}")
                shutil.copytree(self._path("data"), made + ".part")
                os.rename(made + ".part", made)
        if not os.path.exists(self._path("data")):
            shutil.copytree(made, self._path("data"))

    def _wait_ready(self, timeout_s):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise BrokerFailed(f"exit {self._process.returncode}:\n{self._log_tail()}")
            try:
                state = kafka_wire.metadata(self.port, timeout_s=2)
                leaders = [x for topic in state["topics"].values() for x in topic.values()]
                if NODE_ID in state["brokers"] and -1 not in leaders:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        self.kill()
        raise BrokerFailed(f"not ready after {timeout_s} s:\n{self._log_tail()}")

    def _log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-4000:]

    def stop(self, timeout_s=15):
        """SIGTERM; SIGKILL when that does not end it in time."""
        self._end(signal.SIGTERM, timeout_s)

    def kill(self):
        """SIGKILL at once: the crash of a broker."""
        self._end(signal.SIGKILL, 5)

    def _end(self, how, timeout_s):
        pid = self.pid
        if not pid:
            return
        os.kill(pid, how)
        if not self._gone(timeout_s):
            os.kill(pid, signal.SIGKILL)
            if not self._gone(5):
                raise BrokerFailed(f"pid {pid} does not end")
        os.unlink(self._path("pid"))
        self._process = None

    def _gone(self, timeout_s):
        deadline = time.monotonic() + timeout_s
        while self.pid:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def restart(self):
        self.stop()
        return self.start()

    def pause(self):
        """SIGSTOP: the broker hangs but its connections stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    # -- topics

    def topics(self):
        return kafka_wire.metadata(self.port)["topics"]

    def create_topic(self, name, partitions=1, config=None):
        """Create, and wait until every partition has its leader."""
        kafka_wire.create_topic(self.port, name, partitions, config)
        self._wait_topic(name, partitions)

    def add_partitions(self, name, total):
        kafka_wire.add_partitions(self.port, name, total)
        self._wait_topic(name, total)

    def delete_topic(self, name, timeout_s=15):
        kafka_wire.delete_topic(self.port, name)
        self._wait(lambda: name not in self.topics(), timeout_s, f"{name} to be gone")

    def delete_records(self, name, partition, before_offset):
        return kafka_wire.delete_records(self.port, name, partition, before_offset)

    def _wait_topic(self, name, partitions, timeout_s=15):
        def led():
            leaders = self.topics().get(name, {}).values()
            return len(leaders) == partitions and -1 not in leaders

        self._wait(led, timeout_s, f"leaders of {name}")

    def _wait(self, condition, timeout_s, what):
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise BrokerFailed(f"waited {timeout_s} s for {what}")
            time.sleep(0.05)
