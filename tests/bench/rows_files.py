"""Benchmarks of files: a replay against a program that reads lines, and the way of a line that is appended."""
import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time

from rows import Row, busy, median
from servers import BenchFailed, Headgate, loadgen

SIZE = 1 << 30


def sample_line(rng, number):
    """About 200 bytes, as services log them."""
    return json.dumps({
        "id": f"{rng.getrandbits(48):012x}", "ts": f"2026-01-31T12:{number // 60 % 60:02}:{number % 60:02}.{rng.randrange(1000):03}Z",
        "level": rng.choice(("info", "info", "info", "warn", "error")), "service": rng.choice(("checkout", "search", "users")),
        "user": rng.randrange(10**6), "latency_ms": round(rng.expovariate(0.05), 2), "ok": rng.random() < 0.98,
        "tags": ["eu", rng.choice(("web", "app"))], "msg": f"order {rng.randrange(10**6)} of {rng.randrange(9) + 1} items accepted",
    }, separators=(",", ":")) + "\n"


class Replay(Row):
    key = "file-replay"
    text = """A file of JSON lines replayed to one NDJSON subscriber. Data: 1 GiB in the page cache, lines of about 200 bytes with
eleven values each (10,000 different ones, over and over). Headgate: one request from the first record to the last, for both
envelopes. A plain C program that reads the same file by lines (fread and memchr, 64 KiB at a time), from the file itself and
from a pipe (cat FILE | lines), since headgate's bytes go to another process too. In turn, median over the rounds, ratios
within a round, of bytes of the file a second. Misleads: on two cores the load generator's reading and the kernel's loopback take
part of what the gateway could use; a file that is not in the page cache measures the disk."""

    def make(self, path):
        rng = random.Random(1)
        block = "".join(sample_line(rng, n) for n in range(10000)).encode()
        times = max(1, self.options.scale(SIZE) // len(block))
        with open(path, "wb") as file:
            for _ in range(times):
                file.write(block)
        return times * 10000, times * len(block)

    def read_plainly(self, path, piped):
        tool = os.path.join(self.options.build, "bench", "lines")
        begun = time.monotonic()
        if piped:
            with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
                out = subprocess.run([tool], stdin=cat.stdout, stdout=subprocess.PIPE, check=True).stdout
        else:
            out = subprocess.run([tool, path], stdout=subprocess.PIPE, check=True).stdout
        result = json.loads(out)
        return {"bench": self.key + ("-pipe" if piped else ""), "server": "lines", **result,
                "wall_s": round(time.monotonic() - begun, 4)}

    def read_by_headgate(self, path, envelope, count):
        source = f"{{file: {{mode: replay, path: {path}}}}}"
        with Headgate(self.options.build, source, query=f"?envelope={envelope}") as server:
            result = loadgen(self.options.build, server, f"{self.key}-{envelope}", transport="ndjson", connections=1,
                             warmup=0, window=300, until=count)
        if result["deliveries"] != count or result["gap_records"] != 0:
            raise BenchFailed(f"{self.key}: {result['deliveries']} of {count} records, gaps {result['gap_records']}")
        return result

    def run(self):
        directory = tempfile.mkdtemp(prefix="headgate-bench-file-", dir=os.environ.get("BENCH_DIR"))
        path = os.path.join(directory, "lines.ndjson")
        try:
            count, size = self.make(path)
            self.read_plainly(path, False)
            for number in range(self.options.rounds):
                self.say(self.read_plainly(path, False), round=number)
                for envelope in ("data", "record"):
                    self.say(self.read_by_headgate(path, envelope, count), round=number, file_bytes=size)
                self.say(self.read_plainly(path, True), round=number)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def table(self):
        for envelope in ("data", "record"):
            for bench, what in ((self.key, "a plain C program, from the file"), (self.key + "-pipe", "cat to a plain C program")):
                ours, theirs = self.of("headgate", f"{self.key}-{envelope}"), self.of("lines", bench)
                if not ours or not theirs:
                    continue
                rates = [r["file_bytes"] / r["seconds"] for r in ours]
                others = [r["bytes"] / r["seconds"] for r in theirs]
                ratio = median(a / b for a, b in zip(rates, others))
                yield (f"a file's lines to NDJSON, envelope={envelope}", f"{median(rates) / 1e6:.0f} MB/s",
                       f"{what}: {median(others) / 1e6:.0f} MB/s", f"{ratio:.2f}", "0.5", busy(ours[0]))


class Tail(Row):
    key = "file-tail"
    text = """From write(2) of a line to the end of the client's read. Data: a line of 200 bytes, stamped with CLOCK_MONOTONIC
just before it is written, a hundred times a second to a followed file with one NDJSON subscriber. Statistic: p50 and p99 of
all lines of the window. Misleads: the writer is Python, and the stamp is taken before its write; on a loaded machine it is the
scheduler that is measured."""

    def append(self, path, stop):
        with open(path, "ab", buffering=0) as file:
            while not stop.wait(0.01):
                head = f'{{"sent_ns":{time.monotonic_ns()},"pad":"'
                file.write((head + "x" * (197 - len(head)) + '"}\n').encode())

    def run(self):
        for number in range(self.options.rounds):
            directory = tempfile.mkdtemp(prefix="headgate-bench-tail-")
            path = os.path.join(directory, "app.log")
            open(path, "wb").close()
            stop = threading.Event()
            writer = threading.Thread(target=self.append, args=(path, stop))
            try:
                with Headgate(self.options.build, f"{{file: {{path: {path}}}}}", query="?envelope=data") as server:
                    writer.start()
                    self.say(self.loadgen(server, self.key, transport="ndjson", connections=1, sample=1), round=number)
            finally:
                stop.set()
                if writer.ident:
                    writer.join()
                shutil.rmtree(directory, ignore_errors=True)

    def table(self):
        ours = self.of("headgate")
        p50, p99 = (median(r[key] for r in ours) / 1000 for key in ("p50_us", "p99_us"))
        yield ("a line appended, to the client: p50 / p99 in ms", f"{p50:.2f} / {p99:.2f}", "–", "–", "5 ms at p50", busy(ours[0]))


ALL = (Replay, Tail)
