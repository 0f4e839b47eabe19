"""The benchmark of answers of models: what the gateway adds to a token, and the memory of an answer."""
import json
import os
import subprocess

from rows import Row, busy, median
from servers import BenchFailed, Headgate, Server, complete, free_port, wait_for_port

SCALES = ((200, 50), (300, 50), (500, 50), (1000, 50), (2000, 50), (2000, 5))  # answers, tokens a second of each


class Upstream(Server):
    """genserve: every answer at so many tokens a second, for ever or up to so many tokens."""

    name = "upstream"

    def __init__(self, build, rate, tokens=0):
        super().__init__()
        self.port = free_port()
        self.command = [os.path.join(build, "bench", "genserve"), "--port", str(self.port), "--rate", str(rate),
                        "--tokens", str(tokens)]
        self.url = f"http://127.0.0.1:{self.port}/chat/completions"

    def start(self):
        process = self.spawn(*self.command)
        wait_for_port(self.port, process)
        self.pids = {"server": process.pid}


def gateway(build, upstream):
    source = (f"{{llm: {{upstreams: [{{name: up, base_url: 'http://127.0.0.1:{upstream.port}'}}], requests: 2100, "
              "retries: {most: 0}}}")
    extra = "    generations: {max: 2100, per_caller: 0, kept: 2100}\nroutes: {/api/chat: {stream: bench}}\n"
    server = Headgate(build, source, extra=extra)
    server.url = f"http://127.0.0.1:{server.port}/api/chat"
    return server


class Generations(Row):
    key = "generations"
    text = """Answers of a model, all at once. Data: an upstream (genserve) that speaks OpenAI's chat completions, 50 tokens a
second an answer, each an event of 300 bytes that is stamped with CLOCK_MONOTONIC just before its send(2), phases spread evenly in
steps of 100 us; 200 to 2,000 answers, and 2,000 at 5 tokens a second. Headgate: each is asked for by a POST, read as SSE by who asked and as NDJSON by a
second one who joins it. Straight: the same load program on the upstream, with as many readers, each of them an answer of its own,
since nothing but the gateway gives one answer to two; so the readers' work is the same and the upstream's twice. Statistic: from
the stamp to the end of the read, p50 and p99 of all tokens of the window, in turn, median over the rounds; the difference of the p99s is
what the gateway adds. Memory: growth of the resident set over the answers, less what a token took, as seen between two times of
the same run. Misleads: upstream, gateway and readers share the machine's cores: where machine_cores comes near their number, it
is the machine that is measured."""

    def load(self, bench, server, answers, **options):
        command = [os.path.join(self.options.build, "bench", "genload"), "--bench", bench, "--url", server.url,
                   "--answers", str(answers)]
        for name, pid in server.pids.items():
            command += ["--pid", f"{name}={pid}"]
        for name, value in {"warmup": self.options.warmup_s, "window": self.options.window_s, **options}.items():
            command += ["--" + name] + ([] if value is True else [str(value)])
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        result = json.loads(done.stdout or "{}")
        if done.returncode != 0 or "error" in result:
            raise BenchFailed(f"{bench}, {server.name}: {result.get('error', done.stderr)}")
        return complete(result, server.name)

    def straight(self, answers, rate):
        with Upstream(self.options.build, rate) as upstream:
            return self.load(self.key, upstream, 2 * answers)

    def through(self, answers, rate):
        with Upstream(self.options.build, rate) as upstream, gateway(self.options.build, upstream) as server:
            server.pids["upstream"] = upstream.pids["server"]
            return self.load(self.key, server, answers, join=True)

    def kept(self, answers, tokens):
        """Answers that have ended and are kept, with nobody there."""
        with Upstream(self.options.build, SCALES[0][1], tokens) as upstream, gateway(self.options.build, upstream) as server:
            return self.load(self.key + "-kept", server, answers, join=True, warmup=0, window=60, ends=True)

    def scales(self):
        return [(self.options.scale(answers), rate) for answers, rate in SCALES]

    def run(self):
        for number in range(self.options.rounds):
            for answers, rate in self.scales():
                self.say(self.straight(answers, rate), round=number, scale=answers, rate=rate)
                self.say(self.through(answers, rate), round=number, scale=answers, rate=rate)
        most = self.options.scale(SCALES[-1][0])
        self.say(self.kept(most, 100), scale=most)

    def table(self):
        for answers, rate in self.scales():
            ours, theirs = ([r for r in self.of(name, self.key) if (r["scale"], r["rate"]) == (answers, rate)]
                            for name in ("headgate", "upstream"))
            added = {p: median(a[p] - b[p] for a, b in zip(ours, theirs)) for p in ("p50_us", "p99_us")}
            came = median(r["deliveries_per_s"] for r in ours) / (2 * rate * answers)
            yield (f"{answers} answers at {rate} a second, 2 readers each: p50 / p99 / p99.9 in us", percentiles(ours), f"straight: {percentiles(theirs)}",
                   f"adds {added['p50_us']:.0f} / {added['p99_us']:.0f} us ({100 * came:.1f} % came)", "under 200 us at p99",
                   f"{busy(ours[0])}; machine {cores(ours)}; straight: {busy(theirs[0])}, machine {cores(theirs)}")
            fixed, token = (median(value) for value in zip(*map(memory, ours)))
            yield (f"{answers} answers at {rate} a second: resident for each", f"{fixed / 1024:.1f} KiB and {token:.0f} B a token", "–", "–",
                   "64 KiB and the answer", "–")
        for result in self.of("headgate", self.key + "-kept"):
            grown = result["resident"]["server"]["end"] - result["resident"]["server"]["before"]
            each = grown / result["answers"]
            yield (f"{result['answers']} answers of {result['tokens_each']['end']:.0f} tokens, ended and kept: resident for each",
                   f"{each / 1024:.1f} KiB", "–", "–", "64 KiB and the answer", "–")


def percentiles(results):
    return " / ".join(f"{median(r[key] for r in results):.0f}" for key in ("p50_us", "p99_us", "p999_us"))


def cores(results):
    return f"{median(r['machine_cores'] for r in results):.2f}"


def memory(result):
    """Bytes for an answer without a token, and for a token."""
    resident, tokens, n = result["resident"]["server"], result["tokens_each"], result["answers"]
    token = (resident["end"] - resident["open"]) / n / (tokens["end"] - tokens["open"])
    return (resident["open"] - resident["before"]) / n - token * tokens["open"], token


ALL = (Generations,)
