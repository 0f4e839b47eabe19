"""Recorded answers, cut and gone on with: behind every event, after any byte, at the gateway that makes
them and at another one. `make accept-answers` cuts each of them at 500 bytes; every day it is 500 in all, or a few more."""

import json
import os
import random
import secrets
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import pytest

from cuts import ENDS, Viewer, behind_hello, body_bytes, parse
from harness import SCALE_FULL, Gateway, ROOT
from test_llm_sdk import DIALECTS, body_of, golden, job, run, url_of
from wire import TRANSPORTS, Http

sys.path.insert(0, os.path.join(ROOT, "tests", "llm"))
from corpus_server import CorpusServer, names, recorded  # noqa: E402

pytestmark = pytest.mark.accept
SHAPES = [name for dialect in DIALECTS for name in names(dialect)]
CUTS = 500 if SCALE_FULL else -(-500 // len(SHAPES))  # of each answer
SEED = int(os.environ.get("CUTS_SEED") or (random.randrange(1 << 30) if SCALE_FULL else 1))
WORKERS = 4
Answer = namedtuple("Answer", "shape url")


@pytest.fixture(scope="module")
def corpus():
    server = CorpusServer()
    yield server
    server.shutdown()


def make_config(corpus, kafka):
    """Both know every answer, from the log."""
    upstreams = [{"name": name, "dialect": name, "models": [name + "/*"],
                  "base_url": corpus.url + ("/v1" if name in ("openai", "responses") else "")}
                 for name in DIALECTS]
    log = {"silence": "30s", "readers": 64, "kafka": {
        "brokers": kafka.bootstrap, "topic": kafka.topic(partitions=3),
        "librdkafka_options": dict(kafka.client_options)}}
    stream = {"source": {"llm": {"upstreams": upstreams, "retries": {"most": 0}, "log": log}},
              "generations": {"max": 256, "per_caller": 0, "kept": 1000, "retain": "1h"}}
    return {"threads": 2, "streams": {"chat": stream},
            "routes": {"/v1": {"kind": "openai", "stream": "chat"}}}


@pytest.fixture(scope="module")
def replicas(kafka, corpus, tmp_path_factory):
    """The one that is asked, and another one."""
    directory = tmp_path_factory.mktemp("cuts")
    config = make_config(corpus, kafka)
    started = [Gateway(directory, config) for _ in range(2)]
    try:
        for gateway in started:
            gateway.start()
        yield started
    finally:
        for gateway in started:
            gateway.stop()


def post(gateway, path, body, accept="text/event-stream"):
    body = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": accept, "Content-Length": str(len(body))}
    return Http(gateway.port).request("POST", path, headers, body=body)


def ask(gateway, shape):
    """Its answer, which has ended."""
    http = post(gateway, "/streams/chat", body_of("chat", shape))
    assert http.status == 200, (shape, http.status)
    answer = Answer(shape, http.headers["location"])
    Viewer(gateway, "ndjson").read(answer.url)
    http.close()
    return answer


def all_of(work, items):
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, items))


@pytest.fixture(scope="module")
def answers(replicas):
    """Of every shape one."""
    return all_of(lambda shape: ask(replicas[0], shape), SHAPES)


def check_resumed(viewer, answer, token, rest):
    """Behind that token comes the rest, to the byte."""
    hello, found = behind_hello(viewer.transport, viewer.read(answer.url, token))
    where = (answer.shape, viewer.transport, viewer.gateway.port, token)
    assert json.loads(hello.data)["resumed"] is (token is not None), where
    assert [one.text for one in found] == [one.text for one in rest], where


def check_behind_each_event(replicas, answer):
    said = []
    for transport in TRANSPORTS:
        viewers = [Viewer(gateway, transport) for gateway in replicas]
        hello, whole = behind_hello(transport, viewers[0].read(answer.url))
        assert whole[-1].control in ENDS | {"close"}, (answer, whole)
        for viewer in viewers:
            check_resumed(viewer, answer, None, whole)
            for n, told in enumerate([hello, *whole]):
                if told.token:
                    check_resumed(viewer, answer, told.token, whole[n:])
            viewer.close()
        said.append([one.data for one in whole if one.control is None])
    assert said[0] == said[1] == said[2], answer
    events = [json.loads(data)["data"] for data in said[0]]
    assert events == [event for event in golden(answer.shape) if event["type"] != "failed"]
    return len(events)


def test_an_answer_goes_on_behind_each_of_its_events(replicas, answers):
    """Over each transport, at both gateways."""
    counts = all_of(lambda answer: check_behind_each_event(replicas, answer), answers)
    assert len(counts) == len(SHAPES) > 90 and sum(counts) > 300


def check_cuts(replicas, answer, wholes):
    """Connections that are cut after a byte, gone on with by the last id that was whole, at both."""
    rng = random.Random(f"{SEED} {answer.shape}")
    for _ in range(CUTS):
        transport = rng.choice(TRANSPORTS)
        body = wholes[transport]
        cut = rng.randrange(len(body) + 1)
        viewers = [Viewer(gateway, transport) for gateway in replicas]
        part = parse(transport, rng.choice(viewers).read(answer.url, most=cut))
        whole = behind_hello(transport, body)[1]
        if part and part[-1].control not in {None, "hello"}:
            continue  # it has been told the end
        kept = [one for one in part if one.control is None]
        tokens = [one.token for one in part if one.token]
        for viewer in viewers:
            assert [one.text for one in kept] == [one.text for one in whole[:len(kept)]], (answer, cut)
            check_resumed(viewer, answer, tokens[-1] if tokens else None, whole[len(kept):])
            viewer.close()


def test_an_answer_that_was_cut_after_any_byte_goes_on(replicas, answers):
    def check(answer):
        check_cuts(replicas, answer, {
            transport: Viewer(replicas[0], transport).read(answer.url) for transport in TRANSPORTS})

    all_of(check, answers)


# ---- while it comes ----


def follow(replicas, url, rng):
    """What one sees who is cut again and again, and comes back anywhere, by any transport."""
    token, found, hellos = None, [], []
    while True:
        viewer = Viewer(rng.choice(replicas), rng.choice(TRANSPORTS))
        told = parse(viewer.transport, viewer.read(url, token, most=rng.randrange(1, 1200)))
        viewer.close()
        for one in told:
            if one.control == "hello":
                hellos.append((token, viewer.transport, replicas.index(viewer.gateway), one.data))
            token = one.token or token
            if one.control is None:
                found.append(one.data)
            elif one.control != "hello":
                assert all(json.loads(data)["resumed"] is (asked is not None)
                           for asked, _, _, data in hellos), (url, hellos)
                return found, one.control


def check_live(replicas, shape):
    http = post(replicas[0], "/streams/chat", body_of("chat", shape + "~5"), "application/x-ndjson")
    assert http.status == 200, shape
    rng = random.Random(f"{SEED} {shape} live")
    found, end = follow(replicas, http.headers["location"], rng)
    told = parse("ndjson", body_bytes(http))
    assert found == [one.data for one in told if one.control is None], shape
    assert told[-1].control in ENDS and end in {told[-1].control, "close"}, (shape, end)


def test_an_answer_that_is_cut_while_it_comes_goes_on_anywhere(replicas):
    all_of(lambda shape: check_live(replicas, shape), SHAPES)


# ---- as the SDKs read it ----


def number_of(event):
    for line in event.split(b"\n"):
        if line.startswith(b"data: {"):
            return json.loads(line[6:]).get("sequence_number")
    return None


def with_id(shape):
    """Its upstream gives responses ids of their own, by which their clients know them."""
    return f"{shape}=resp_{secrets.token_hex(24)}" if shape.startswith("responses/") else shape


def id_of(events):
    for event in events:
        data = json.loads(event.split(b"data: ", 1)[1])
        if "response" in data:
            return data["response"]["id"]
    return None


def check_response(replicas, shape):
    """How many events it has; 0: it fails before it begins, with an HTTP error."""
    http = post(replicas[0], "/v1/responses", {**body_of("responses", with_id(shape)), "stream": True})
    if http.status != 200:
        assert golden(shape)[-1]["type"] == "failed", (shape, http.status)
        http.close()
        return 0
    events = body_bytes(http).split(b"\n\n")[:-1]
    http.close()
    named = id_of(events) or "resp_" + http.headers["headgate-stream"].rsplit("/", 1)[1]
    name = f"/v1/responses/{named}?stream=true"
    for gateway in replicas:
        for n in range(len(events) + 1):
            number = number_of(events[n - 1]) if n else None
            if n and number is None:
                continue  # what fails is no event of the answer
            answer = gateway.get(name + (f"&starting_after={number}" if n else ""))
            assert answer.status == 200, (shape, n)
            assert body_bytes(answer).split(b"\n\n")[:-1] == events[n:], (shape, n)
            answer.close()
    return len(events)


def test_a_response_goes_on_behind_each_sequence_number(replicas):
    """At both gateways, in whichever dialect its upstream answers."""
    counts = all_of(lambda shape: check_response(replicas, shape), SHAPES)
    assert sum(count > 0 for count in counts) > 80


def test_the_sdk_itself_goes_on_behind_each_event_at_both(replicas):
    shapes = [shape for shape in SHAPES if golden(shape)[-1]["type"] == "done"] if SCALE_FULL else [
        "responses/text", "responses/tools_in_parallel", "anthropic/tool", "openai/tool", "ollama/tools"]
    at = [url_of(gateway) + "/v1" for gateway in replicas]
    jobs = [job("openai", url_of(replicas[0]), "responses_resume", with_id(shape), at=at)
            for shape in shapes]
    for shape, result in zip(shapes, run(jobs)):
        assert not result["error"] and result["final"] == [], (shape, result)
        assert len(result["events"]) > 1, (shape, result)
