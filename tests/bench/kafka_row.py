"""A topic of a real Kafka, read by kcat and through headgate."""
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from servers import BenchFailed, Headgate, complete, free_port, loadgen

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "kafka"))
try:
    import kafka_broker
except ImportError:
    kafka_broker = None

TOPIC = "bench"
# The default queue of 1,024 records is half a millisecond at these rates: source and subscriber would wait for each other.
SLOW = "{policy: pause, queue: {records: 16384, bytes: 16MiB}}"


def unavailable():
    """None, or the reason why it cannot run here."""
    if kafka_broker is None:
        return "tests/kafka is not there"
    if not shutil.which("kcat"):
        return "no kcat: install the package kcat"
    return kafka_broker.available()


class Bootstrap(threading.Thread):
    """Passes connections to the broker from the moment that it is started: a gateway whose bootstrap address is this one
    has its subscribers before it has its first record. Only the first metadata go through here; then librdkafka connects
    to the address that the broker advertises."""

    def __init__(self, port, broker_port):
        super().__init__(daemon=True)
        self.broker_port = broker_port
        self.listener = socket.create_server(("127.0.0.1", port))

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            broker = socket.create_connection(("127.0.0.1", self.broker_port))
            for source, target in ((client, broker), (broker, client)):
                threading.Thread(target=self.copy, args=(source, target), daemon=True).start()

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        target.close()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Topic:
    """A context manager: inside of it a broker runs that has the topic."""

    def __init__(self, options, count=None):
        self.options = options
        self.count = count or options.scale(2000000)
        self.dir = tempfile.mkdtemp(prefix="headgate-bench-kafka-")

    def __enter__(self):
        try:
            self.broker = kafka_broker.KafkaBroker(os.path.join(self.dir, "broker"))
            self.broker.start()
            self.broker.create_topic(TOPIC, 1)
            self.produce()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.broker.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def produce(self):
        path = os.path.join(self.dir, "records")
        with open(path, "w", encoding="ascii") as file:
            for seq in range(self.count):
                head = f'{{"seq":{seq},"pad":"'
                file.write(head + "x" * (198 - len(head)) + '"}\n')
        subprocess.run(["kcat", "-P", "-q", "-b", self.broker.bootstrap, "-t", TOPIC, "-p", "0",
                        "-X", "linger.ms=20", "-X", "batch.size=262144", "-l", path], check=True)
        os.unlink(path)

    def kcat(self, offset, piped=False):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        broker_before = cpu_s(self.broker.pid)
        begin = time.monotonic()
        command = ["kcat", "-C", "-e", "-q", "-b", self.broker.bootstrap, "-t", TOPIC, "-p", "0", "-o", offset]
        reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) if piped else None
        subprocess.run(command, stdout=reader.stdin if reader else subprocess.DEVNULL, check=True)
        if reader:
            reader.stdin.close()
            reader.wait()
        seconds = time.monotonic() - begin
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (seconds, {"user_s": after.ru_utime - before.ru_utime, "system_s": after.ru_stime - before.ru_stime},
                {"user_s": cpu_s(self.broker.pid) - broker_before, "system_s": 0})

    def read_by_kcat(self, bench="kafka", piped=False):
        idle_s, _, _ = self.kcat("end")
        all_s, cpu, broker_cpu = self.kcat("beginning", piped)
        seconds = all_s - idle_s
        return complete({"bench": bench, "deliveries": self.count, "seconds": round(seconds, 3),
                         "start_seconds": round(idle_s, 3), "deliveries_per_s": round(self.count / seconds),
                         "cpu": {"server": cpu, "broker": broker_cpu}}, "kcat")

    def read_by_headgate(self, bench, envelope):
        port = free_port()
        source = f"{{kafka: {{brokers: '127.0.0.1:{port}', topics: [{TOPIC}], start: earliest}}}}"
        bootstrap = None
        with Headgate(self.options.build, source, SLOW, f"?envelope={envelope}") as server:
            server.pids["broker"] = self.broker.pid
            opener = threading.Timer(1.0, lambda: bootstrap.start())
            bootstrap = Bootstrap(port, self.broker.port)
            opener.start()
            try:
                result = loadgen(self.options.build, server, bench, transport="ndjson", connections=1, warmup=0,
                                 window=120, until=self.count)
            finally:
                opener.join()
                bootstrap.stop()
        if result["deliveries"] != self.count or result["gap_records"] != 0:
            raise BenchFailed(f"{bench}: {result['deliveries']} of {self.count} records, gaps {result['gap_records']}")
        return result


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
