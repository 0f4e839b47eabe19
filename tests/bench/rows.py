"""The benchmarks: each says first what it measures and what would make it mislead, then how."""
import statistics

import kafka_row
from servers import Bare, Headgate, Nchan, loadgen


def median(values):
    return statistics.median(values)


def busy(result):
    """What each process used of a core, the reason for the figure before it."""
    return ", ".join(f"{name} {share:.2f}" for name, share in result["cores"].items())


class Row:
    """One benchmark. `run` yields results, interleaved over the servers; `table` makes rows of the final table:
    (what, headgate, compared with, ratio, goal, cores used)."""

    key = ""
    text = ""

    def __init__(self, options):
        self.options = options
        self.results = []

    def say(self, result, **more):
        result.update(more)
        self.results.append(result)
        self.options.emit(result)
        return result

    def of(self, server, bench=None):
        return [r for r in self.results if r["server"] == server and (bench is None or r["bench"] == bench)]

    def loadgen(self, server, bench, **options):
        window = {"warmup": self.options.warmup_s, "window": self.options.window_s}
        return loadgen(self.options.build, server, bench, **{**window, **options})


class Broadcast(Row):
    key = "broadcast"
    text = """Broadcast at saturation. Data: JSON records of 200 bytes, as fast as the server sends them, to 1,000
WebSockets; headgate with its synthetic source, envelope=data (the same 200 bytes on the wire) and slow: pause, so that
nothing is dropped, with the default number of service threads and with one; bare with as many records a send as headgate had on average in the same round (records for each TCP
segment, which is one write until a write exceeds 32 KiB), and with one; Nchan with its publisher never waiting for more
than one answer. Window and warm-up as given; median over the rounds, ratios within a round. Misleads: when the load
generator is the one that is busy all the time (see cores), when something else runs on the machine, when servers drop
(bare does, where a socket is full; dropped records are not deliveries)."""

    def headgate(self, bench, extra=""):
        with Headgate(self.options.build, "{synthetic: {rate: 0, size: 200, batch: 64}}", "{policy: pause}",
                      "?envelope=data&heartbeat=off", extra) as server:
            return self.loadgen(server, bench, connections=self.options.scale(1000), sample=1009)

    def bare(self, bench, batch):
        with Bare(self.options.build, 200, batch) as server:
            return self.loadgen(server, bench, connections=self.options.scale(1000), sample=1009)

    def run(self):
        for number in range(self.options.rounds):
            ours = self.say(self.headgate(self.key), round=number)
            batch = max(1, min(4096, round(ours["records_per_segment"])))
            self.say(self.bare(self.key, batch), round=number, batch=batch)
            self.say(self.headgate(self.key + "-one-thread", "threads: 1\n"), round=number)
            self.say(self.bare(self.key + "-one", 1), round=number, batch=1)
            if Nchan.available():
                with Nchan(200) as server:
                    self.say(self.loadgen(server, self.key, connections=self.options.scale(1000), sample=1009),
                             round=number)

    def table(self):
        for bench, name, other, what, goal in (
            (self.key, "bare", self.key, "bare, one thread, the same batch", "0.75"),
            (self.key + "-one-thread", "bare", self.key, "bare, one thread, the same batch", "–"),
            (self.key, "nchan", self.key, "Nchan, one worker", "30"),
            (self.key, "bare", self.key + "-one", "bare, one record a send", "–"),
        ):
            ours, theirs = self.of("headgate", bench), self.of(name, other)
            if not theirs:
                continue
            rate = median(r["deliveries_per_s"] for r in ours)
            batch = median(r["records_per_segment"] for r in ours)
            ratio = median(a["deliveries_per_s"] / b["deliveries_per_s"] for a, b in zip(ours, theirs))
            threads = "one service thread" if bench != self.key else "threads: auto"
            yield (f"broadcast, 200 B, {threads}", f"{rate / 1e6:.2f} M/s, {batch:.0f} a write",
                   f"{what}: {median(r['deliveries_per_s'] for r in theirs) / 1e6:.3f} M/s",
                   f"{ratio:.2f} (by CPU time {cost_ratio(ours, theirs):.2f})", goal,
                   f"{busy(ours[0])}; {name}: {busy(theirs[0])}")


def cost_ratio(ours, theirs):
    """How many deliveries headgate makes of the CPU time that the other needs for one."""
    return median(b["server_ns_per_delivery"] / max(1, a["server_ns_per_delivery"]) for a, b in zip(ours, theirs))


class Paced(Row):
    key = "paced"
    text = """Delivery latency at 100,000 deliveries a second. Data: 100 JSON records of 200 bytes a second to 1,000
WebSockets, stamped with CLOCK_MONOTONIC when they are made, read when the load generator's recv returns; every 7th
delivery is a sample. Statistic: p50, p99, p99.9 of all samples of the window, median over the rounds. Most of it is the time
that 1,000 sends of one record take. Misleads: the reader's own time is in it, for all servers alike; on a machine with
other load p99 shows that load; Nchan is published to over HTTP, one hop more than the others."""

    def run(self):
        n = self.options.scale(1000)
        rate = 100000 // n
        for number in range(self.options.rounds):
            for server in (
                Headgate(self.options.build, f"{{synthetic: {{rate: {rate}, size: 200}}}}",
                         query="?envelope=data&heartbeat=off"),
                Bare(self.options.build, 200, 1, rate),
                Nchan(200, rate) if Nchan.available() else None,
            ):
                if server:
                    with server:
                        self.say(self.loadgen(server, self.key, connections=n, sample=7), round=number)

    def table(self):
        ours = self.of("headgate")
        for name in ("bare", "nchan"):
            theirs = self.of(name)
            if not theirs:
                continue
            ratio = median(a["p99_us"] / b["p99_us"] for a, b in zip(ours, theirs))
            yield ("paced, 100,000/s: p50 / p99 / p99.9 in ms", latencies(ours), f"{name}: {latencies(theirs)}",
                   f"{ratio:.2f} at p99 (by CPU time {cost_ratio(ours, theirs):.2f})", "at most 1.2" if name == "bare" else "–",
                   f"{busy(ours[0])}; {name}: {busy(theirs[0])}")


def latencies(results):
    return " / ".join(f"{median(r[key] for r in results) / 1000:.2f}" for key in ("p50_us", "p99_us", "p999_us"))


class Idle(Row):
    key = "idle"
    text = """Memory of an idle subscriber. Data: 10,000 WebSockets on a stream without records. Statistic: the server's
resident set when all are open and two seconds have passed, less that before the first, over their number; once, since it
does not vary. Misleads: memory of the kernel is not in it; a server that allocates at its start what others allocate as
they go looks better; Nchan's worker shares memory that its master has touched."""

    def run(self):
        n = self.options.scale(10000)
        servers = [Headgate(self.options.build, "{synthetic: {rate: 1, count: 1, size: 200}}"), Bare(self.options.build, 200, 1, 0.001)]
        if Nchan.available():
            servers.append(Nchan(200, publish=False))
        for server in servers:
            with server:
                self.say(self.loadgen(server, self.key, connections=n, warmup=1, window=1))

    def growth(self, name):
        return [(r["resident"]["server"]["end"] - r["resident"]["server"]["before"]) / r["connections"]
                for r in self.of(name)]

    def table(self):
        ours = median(self.growth("headgate"))
        for name in ("nchan", "bare"):
            if self.of(name):
                theirs = median(self.growth(name))
                yield ("an idle subscriber, resident", f"{ours:.0f} B", f"{name}: {theirs:.0f} B",
                       f"{ours / theirs:.2f}" if theirs > 0 else "–", "4 KB", "–")


class Stalled(Row):
    key = "stalled"
    text = """Stalled subscribers. Data: 50 JSON records of 1 kB a second to 2,000 WebSockets, of which none or half do their
handshake and never read again; policy drop_oldest, heartbeats off so that nobody is disconnected for its silence. Statistic: the
rate of one subscriber that reads, its p50 and p99, and the server's resident set at the end with and without stalled ones,
over their number; fresh processes, the two cases in turn, median over the rounds. Misleads: a window shorter than what
fills the kernel's buffers (about 3 s at 50 kB/s and 163 kB) sees no stall at all; with half of them not reading there is
half of the work, so that latencies may fall."""

    def run(self):
        n = self.options.scale(2000)
        window = {"warmup": max(8, self.options.warmup_s), "window": max(5, self.options.window_s)}
        if self.options.quick:
            window = {"warmup": 1, "window": 1.5}
        for number in range(self.options.rounds):
            for bench, stalled in ((self.key + "-none", 0), (self.key + "-half", n // 2)):
                for server in (
                    Headgate(self.options.build, "{synthetic: {rate: 50, size: 1000}}",
                             query="?envelope=data&heartbeat=off"),
                    Nchan(1000, 50) if Nchan.available() else None,
                ):
                    if server:
                        with server:
                            result = self.loadgen(server, bench, connections=n, stalled=stalled, sample=7, **window)
                            self.say(result, round=number)

    def table(self):
        for name in ("headgate", "nchan"):
            none, half = self.of(name, self.key + "-none"), self.of(name, self.key + "-half")
            if not none:
                continue
            pairs = list(zip(none, half))
            rate = median(each(b) / each(a) for a, b in pairs)
            p99 = median(b["p99_us"] / a["p99_us"] for a, b in pairs)
            memory = median((b["resident"]["server"]["end"] - a["resident"]["server"]["end"]) / b["stalled"]
                            for a, b in pairs)
            goal = "rate over 0.95, p99 under 2, under 8 KB" if name == "headgate" else "–"
            yield (f"half stalled, {name}: p50 / p99 / p99.9 in ms", latencies(half), f"none stalled: {latencies(none)}",
                   f"rate {rate:.2f}, p99 {p99:.2f}, {memory:.0f} B a stalled one", goal,
                   f"{busy(half[0])}; none stalled: {busy(none[0])}")


def each(result):
    return result["deliveries_per_s"] / (result["connections"] - result["stalled"])


class Kafka(Row):
    key = "kafka"
    text = """One Kafka topic to one NDJSON subscriber. Data: 2,000,000 JSON records of 200 bytes in one partition of a real
broker, read from the beginning. Headgate: a subscriber with slow=pause and a queue of 16,384 records that is there before
the first record; records a second from the first to the last one. kcat -C -e to /dev/null, and through a pipe to cat, since
headgate's bytes go to another process too: from its start to its end, less the same command on an empty range. In turn,
the same warm broker and page cache, median over the rounds. Misleads: when the broker is the one that is busy;
a first round with a cold broker (one unmeasured read goes before)."""

    def run(self):
        reason = kafka_row.unavailable()
        if reason:
            self.options.note(f"{self.key}: left out: {reason}")
            return
        with kafka_row.Topic(self.options) as topic:
            topic.read_by_kcat()
            for number in range(self.options.rounds):
                self.say(topic.read_by_kcat(), round=number)
                self.say(topic.read_by_headgate(self.key, "data"), round=number)
                self.say(topic.read_by_headgate(self.key + "-record", "record"), round=number)
                self.say(topic.read_by_kcat(self.key + "-pipe", piped=True), round=number)

    def table(self):
        pairs = (
            (self.key, "envelope=data", self.key, "kcat -C to /dev/null", "0.9"),
            (self.key, "envelope=data", self.key + "-pipe", "kcat -C to a pipe", "–"),
            (self.key + "-record", "envelope=record", self.key, "kcat -C to /dev/null", "–"),
        )
        for bench, envelope, other, what, goal in pairs:
            ours, theirs = self.of("headgate", bench), self.of("kcat", other)
            if ours:
                ratio = median(a["deliveries_per_s"] / b["deliveries_per_s"] for a, b in zip(ours, theirs))
                yield (f"Kafka to NDJSON, {envelope}", f"{median(r['deliveries_per_s'] for r in ours) / 1e6:.2f} M/s",
                       f"{what}: {median(r['deliveries_per_s'] for r in theirs) / 1e6:.2f} M/s", f"{ratio:.2f}", goal,
                       f"{busy(ours[0])}; kcat: {busy(theirs[0])}")


ALL = (Broadcast, Paced, Idle, Stalled, Kafka)
