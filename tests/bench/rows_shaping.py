"""The benchmarks of resuming and shaping: a storm of resumes, the second lane's rate, conflation, filters."""
import base64
import os
import subprocess

import kafka_row
from rows import Row, busy, cost_ratio, latencies, median
from servers import Headgate, Loadgen


def token_at(topic, offset):
    """The resume token of partition 0 of a topic; see gateway/token.h."""
    group = 2166136261
    for byte in topic.encode():
        group = (group ^ byte) * 16777619 % 2**32
    raw, value = bytes([1, 1]) + group.to_bytes(4, "little") + bytes([1]), offset + 1
    while value >= 0x80:
        raw, value = raw + bytes([value & 0x7F | 0x80]), value >> 7
    return base64.urlsafe_b64encode(raw + bytes([value])).rstrip(b"=").decode()


class Live:
    """A context manager: records that are stamped when they are made go into the topic, at a steady rate."""

    def __init__(self, topic, rate):
        tool = os.path.join(topic.options.build, "chaos", "produce")
        self.process = subprocess.Popen(
            [tool, topic.broker.bootstrap, kafka_row.TOPIC, "1", str(rate), str(topic.count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate(timeout=60)


class WithLive(Row):
    """A row of what subscribers at the head notice while something else goes on."""

    def gateway(self, topic, start, ring):
        source = f"{{kafka: {{brokers: '{topic.broker.bootstrap}', topics: [{kafka_row.TOPIC}], start: {start}}}}}"
        return Headgate(self.options.build, source, "{policy: drop_oldest, allow: [pause]}", "?envelope=data",
                        f"    ring: {{records: {ring}}}\n")

    def live(self, server, bench, **options):
        return Loadgen(self.options.build, server, bench,
                       **{"connections": self.options.scale(200), "sample": 1, "warmup": 0.5, "window": 300, **options})

    def before(self, server):
        return self.live(server, self.key + "-before", warmup=self.options.warmup_s, window=self.options.window_s).result()

    def kafka(self, count):
        """The topic, or None and why it is not there."""
        reason = kafka_row.unavailable()
        if reason:
            self.options.note(f"{self.key}: left out: {reason}")
        return None if reason else kafka_row.Topic(self.options, count)


class Resume(WithLive):
    key = "resume"
    text = """Resume storm. Data: a topic of 10,000 records of 200 bytes and 100 more a second, stamped when they are made;
200 WebSockets at its head; then 2,000 more come back at once with tokens of 20 different places, 250 to 5,000 records back, of
which the ring holds the nearer half; the others are read from Kafka. Statistic: from the first dial until each of the 2,000 has
had a record that is no older than 250 ms, and the p99 of the 200 before it and during it, in the same process; median over
the rounds. Misleads: client and server share two cores, so the backlog that the load generator reads (5 million records) is
taken from the same time."""

    def run(self):
        topic = self.kafka(10000)
        if topic is None:
            return
        with topic:
            for number in range(self.options.rounds):
                with Live(topic, 100), self.gateway(topic, "earliest", 2500) as server:
                    self.say(self.before(server), round=number)
                    watched = self.live(server, self.key)
                    head = int(server.metrics()["headgate_records_in_total"])
                    urls = [server.url + "&from=" + token_at(kafka_row.TOPIC, head - 250 * (k + 1)) for k in range(20)]
                    storm = Loadgen(self.options.build, server, self.key + "-storm", urls, sample=1, warmup=0,
                                    window=120, live_within=250, connections=self.options.scale(2000))
                    self.say(storm.result(), round=number)
                    self.say(watched.end(), round=number)

    def table(self):
        before, during, storm = (self.of("headgate", self.key + end) for end in ("-before", "", "-storm"))
        if storm:
            ratio = median(b["p99_us"] / a["p99_us"] for a, b in zip(before, during))
            yield (f"resume storm of {storm[0]['connections']}: p50 / p99 / p99.9 in ms of the live ones", latencies(during),
                   f"before it: {latencies(before)}", f"{ratio:.2f} at p99", "–", busy(storm[0]))
            yield ("until the last of them is live", f"{median(r['all_live_s'] for r in storm):.2f} s",
                   f"{median(r['deliveries'] for r in storm) / 1e6:.1f} M records", "–", "–", busy(storm[0]))


class CatchUp(WithLive):
    key = "catchup"
    text = """The second lane's rate. Data: 1,000,000 JSON records of 200 bytes (10,000,000 with --full) in one partition of a
real broker, which the gateway's ring does not hold; one NDJSON subscriber asks for all of them with from=earliest. Against kcat
-C -e to /dev/null, and through a pipe to cat, as in the row kafka; in turn, the same warm broker. Then the same read while
100 stamped records a second go to 200 WebSockets at the head: their p99 before it and during it. Median over the rounds.
Misleads: as the row kafka; the live ones share the two cores with the broker, the gateway's reader and the load
generator's, so on this machine their p99 shows who gets the processor."""

    def run(self):
        topic = self.kafka((10 if self.options.full else 1) * self.options.scale(1000000))
        if topic is None:
            return
        with topic:
            topic.read_by_kcat(self.key)
            for number in range(self.options.rounds):
                self.say(topic.read_by_kcat(self.key), round=number)
                with self.gateway(topic, "latest", 65536) as server:
                    self.say(self.read(server, topic, self.key), round=number)
                self.say(topic.read_by_kcat(self.key + "-pipe", piped=True), round=number)
            with Live(topic, 100):
                for number in range(self.options.rounds):
                    with self.gateway(topic, "latest", 65536) as server:
                        self.say(self.before(server), round=number)
                        watched = self.live(server, self.key + "-live")
                        self.read(server, topic, self.key + "-beside")
                        self.say(watched.end(), round=number)

    def read(self, server, topic, bench):
        server.pids["broker"] = topic.broker.pid
        reader = Loadgen(self.options.build, server, bench, [server.url + "&from=earliest&slow=pause"],
                         transport="ndjson", connections=1, warmup=0, window=300, until=topic.count)
        return reader.result()

    def table(self):
        ours = self.of("headgate", self.key)
        for bench, what, goal in ((self.key, "kcat -C to /dev/null", "0.7"), (self.key + "-pipe", "kcat -C to a pipe", "–")):
            theirs = self.of("kcat", bench)
            if theirs:
                ratio = median(a["deliveries_per_s"] / b["deliveries_per_s"] for a, b in zip(ours, theirs))
                yield (f"catch-up of {ours[0]['deliveries']} records", f"{rate(ours)} M/s", f"{what}: {rate(theirs)} M/s",
                       f"{ratio:.2f}", goal, f"{busy(ours[0])}; kcat: {busy(theirs[0])}")
        before, during = self.of("headgate", self.key + "-before"), self.of("headgate", self.key + "-live")
        if during:
            ratio = median(b["p99_us"] / a["p99_us"] for a, b in zip(before, during))
            yield ("the live ones beside it: p50 / p99 / p99.9 in ms", latencies(during), f"before: {latencies(before)}",
                   f"{ratio:.2f} at p99", "at most 2", busy(during[0]))


def rate(results):
    return f"{median(r['deliveries_per_s'] for r in results) / 1e6:.2f}"


class Conflate(Row):
    key = "conflate"
    text = """Conflation. Data: 50,000 JSON records of 200 bytes a second over 100 keys to 500 WebSockets with max_rate=10, with
slow=conflate and, for comparison, with slow=drop_oldest, where nothing is merged. Statistic: the gateway's share of a core, and
its resident set when the window ends less that before the first subscriber, over their number; fresh processes, in turn,
median over the rounds. Misleads: nothing is saturated, so this is a cost, not a rate; memory that the gateway needs for
the records themselves is in both."""

    def run(self):
        for number in range(self.options.rounds):
            for policy in ("conflate", "drop_oldest"):
                source = "{synthetic: {rate: 50000, size: 200, keys: 100, batch: 50}}"
                with Headgate(self.options.build, source, f"{{policy: {policy}}}",
                              "?envelope=data&heartbeat=off&max_rate=10") as server:
                    result = self.loadgen(server, f"{self.key}-{policy}", connections=self.options.scale(500), sample=1)
                    self.say(result, round=number)

    def table(self):
        ours, theirs = self.of("headgate", self.key + "-conflate"), self.of("headgate", self.key + "-drop_oldest")
        ratio = median(a["cores"]["server"] / max(0.01, b["cores"]["server"]) for a, b in zip(ours, theirs))
        yield (f"conflation, 50,000/s to {ours[0]['connections']} at 10/s", cost(ours), f"drop_oldest: {cost(theirs)}",
               f"{ratio:.2f} of its CPU time", "–", busy(ours[0]))


def cost(results):
    grown = median((r["resident"]["server"]["end"] - r["resident"]["server"]["before"]) / r["connections"] for r in results)
    return f"{median(r['cores']['server'] for r in results):.2f} cores, {grown / 1024:.1f} KB a subscriber"


class Filter(Row):
    key = "filter"
    text = """Filters. Data: 20,000 JSON records of 200 bytes a second over 1,000 keys; 1,000 WebSockets, each of which takes one
key, 20 records a second: all the same key, so that they share one filter, or each another, 1,000 filters; and for
comparison 1,000 without a filter at a stream of 20 records a second. The same deliveries in all three, and fresh processes in
turn. Statistic: the gateway's share of a core, p50, p99 and p99.9; median over the rounds. Misleads: with different keys
deliveries are spread evenly over time, while a shared key is 1,000 sends at once, of which the last is late."""

    def run(self):
        cases = (("none", 20, ""), ("shared", 20000, "&key=key-1"), ("different", 20000, "&key=key-{n}"))
        for number in range(self.options.rounds):
            for name, per_s, query in cases:
                source = f"{{synthetic: {{rate: {per_s}, size: 200, keys: 1000}}}}"
                with Headgate(self.options.build, source, query="?envelope=data&heartbeat=off" + query) as server:
                    result = self.loadgen(server, f"{self.key}-{name}", connections=self.options.scale(1000), sample=1)
                    self.say(result, round=number)

    def table(self):
        none, shared, different = (self.of("headgate", f"{self.key}-{name}") for name in ("none", "shared", "different"))
        for name, ours in (("one shared by all", shared), ("a different one each", different)):
            yield (f"filter, {ours[0]['connections']} subscribers, {name}: p50 / p99 / p99.9 in ms", latencies(ours),
                   f"no filter, the same deliveries: {latencies(none)}", f"by CPU time {cost_ratio(ours, none):.2f}", "–",
                   f"{busy(ours[0])}; no filter: {busy(none[0])}")


ALL = (Resume, CatchUp, Conflate, Filter)
