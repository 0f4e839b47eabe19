"""Responses by the id that their upstream gave, at gateways that did not make them: with the official SDKs,
which know no other id."""

import json
import os
import secrets
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import ROOT, wait_for
from test_generation_log import events_of, kill
from test_generations import post
from test_llm import KEY, upstream  # noqa: F401
from test_llm_sdk import python_sdks, run, url_of  # noqa: F401
from upstream import SSE
from wire import Http


def make_config(kafka, upstream, topics, routes, log):  # noqa: F811
    streams = {}
    for name, topic in topics.items():
        llm = {"upstreams": [{"name": "up", "dialect": "responses", "key": KEY, "base_url": upstream.url}],
               "retries": {"most": 0},
               "log": {"silence": "2s", **log, "kafka": {
                   "brokers": kafka.bootstrap, "topic": topic,
                   "librdkafka_options": dict(kafka.client_options), **log.get("kafka", {})}}}
        streams[name] = {"source": {"llm": llm}}
    return {"threads": 2, "routes": routes}, streams


@pytest.fixture
def replicas(gateways, kafka, upstream):  # noqa: F811
    """A function that starts a gateway: all of a test have the same log."""
    made = {}

    def start(**log):
        made["topic"] = made.get("topic") or kafka.topic(partitions=3)
        config, streams = make_config(kafka, upstream, {"chat": made["topic"]},
                                      {"/v1": {"kind": "openai", "stream": "chat"}}, log)
        gateway = gateways(config, **streams)
        gateway.topic = made["topic"]
        return gateway

    return start


def knows(*all_gateways):
    """They hear, and know what was said before they came."""
    for gateway in all_gateways:
        gateway.wait_metric("generation_log_hears", 1, stream="chat")
        gateway.wait_metric("generation_log_aliases_read", 1, stream="chat")


def event(kind, number, **more):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more, 'sequence_number': number})}\n\n"


class Response:
    """One that a gateway was asked for, and its upstream's side."""

    def __init__(self, gateway, upstream, id_=None, path="/v1/responses"):  # noqa: F811
        self.id, self.number = id_ or "resp_" + secrets.token_hex(24), 0
        body = json.dumps({"model": "m", "input": "x", "stream": True})
        with ThreadPoolExecutor(1) as asking:
            asked = asking.submit(post, gateway, body, path=path)
            self.visit = upstream.accept()
            self.visit.send(SSE)
            self._tell("response.created", response=self._object("in_progress"))
            self.http = asked.result()
        assert self.http.status == 200, self.http.body()

    def _object(self, status):
        return {"id": self.id, "object": "response", "created_at": 1, "status": status, "model": "m",
                "output": [], "usage": None}

    def _tell(self, kind, **more):
        self.visit.chunk(event(kind, self.number, **more))
        self.number += 1

    def say(self, *words):
        for word in words:
            self._tell("response.output_text.delta", item_id="m1", output_index=0, content_index=0,
                       delta=word, logprobs=[])
        return self

    def finish(self):
        """All its events, as who asked has them."""
        self._tell("response.completed", response=self._object("completed"))
        self.visit.end()
        self.visit.close()
        return [json.loads(one.split(b"data: ", 1)[1]) for one in events_of(self.http)]


def sdk(gateway, call, id_, **more):
    [result] = run([{"sdk": "openai", "baseURL": url_of(gateway) + "/v1", "call": call, "id": id_, **more}])
    return result


def retrieved(gateway, id_, after=None):
    result = sdk(gateway, "responses_retrieve", id_, after=after)
    assert result["error"] is None, result
    return result["events"]


def ask(gateway, id_, path="/v1/responses"):
    return gateway.get(f"{path}/{id_}?stream=true")


def known(response, *all_gateways):
    """What its gateway wrote of it has come to them: the first records take a new producer a while."""
    for gateway in all_gateways:
        def finds():
            answer = ask(gateway, response.id)
            answer.close()
            return answer.status == 200

        wait_for(finds, f"{response.id} is known")
    return response


def text_of(events):
    return "".join(one.get("delta", "") for one in events)


def test_the_upstreams_id_finds_a_response_at_every_gateway(replicas, upstream):  # noqa: F811
    owner, other = replicas(), replicas()
    knows(owner, other)
    response = known(Response(owner, upstream).say("one ", "two "), other)
    other.wait_metric("generation_viewers", 0, stream="chat")
    with ThreadPoolExecutor(1) as reading:
        live = reading.submit(retrieved, other, response.id)
        other.wait_metric("generation_viewers", 1, stream="chat")
        response.say("three ")
        whole = response.finish()
        assert live.result() == whole and text_of(whole) == "one two three "
    late = replicas()
    knows(late)
    for gateway in (owner, other, late):
        assert retrieved(gateway, response.id, after=1) == whole[2:]
    for number in range(len(whole)):  # and each of them as the SDK would ask
        answer = late.get(f"/v1/responses/{response.id}?stream=true&starting_after={number}")
        assert answer.status == 200 and len(events_of(answer)) == len(whole) - number - 1


def test_it_cancels_there_too(replicas, upstream):  # noqa: F811
    owner, other = replicas(), replicas()
    knows(owner, other)
    response = known(Response(owner, upstream).say("not to be ended"), other)
    result = sdk(other, "responses_stop", response.id)
    assert result["final"]["status"] == "cancelled" and result["final"]["id"] == response.id
    assert b"cancelled" in response.http.body()
    owner.wait_metric("generations_ended_total", 1, stream="chat", reason="cancelled")


@pytest.mark.mock_only
def test_the_sdk_for_python_does_the_same(replicas, upstream, python_sdks):  # noqa: F811
    owner, other = replicas(), replicas()
    knows(owner, other)
    ended, running = (known(Response(owner, upstream).say("all of it"), other) for _ in range(2))
    ended.finish()
    jobs = [{"call": "responses_retrieve", "id": ended.id}, {"call": "responses_stop", "id": running.id}]
    jobs = [{**job, "baseURL": url_of(other) + "/v1"} for job in jobs]
    done = subprocess.run([python_sdks, os.path.join(ROOT, "tests", "llm", "sdk.py")],
                          input=json.dumps(jobs).encode(), capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    read, stopped = json.loads(done.stdout)
    assert read == {"text": "all of it", "error": None}
    assert stopped == {"text": f"{running.id} cancelled", "error": None}


def test_a_gateway_that_dies_leaves_the_part_by_that_id_too(replicas, upstream):  # noqa: F811
    owner, other = replicas(), replicas()
    knows(owner, other)
    response = known(Response(owner, upstream).say("a part ", "and on"), other)
    answer, body = ask(other, response.id), b""
    while b"and on" not in body:
        body += answer.body_part(time.monotonic() + 60)
    kill(owner)
    assert b"is gone" in answer.body()
    late = replicas()
    knows(late)
    with ThreadPoolExecutor(2) as reading:
        for result in reading.map(lambda gateway: sdk(gateway, "responses_retrieve", response.id),
                                  (other, late)):
            assert text_of(result["events"]) == "a part and on"
            assert "is gone" in result["error"]["message"], result


def test_an_id_that_nobody_gave_is_not_found(replicas, upstream, kafka):  # noqa: F811
    """Nor what a record says that cannot be one; those behind it are taken."""
    owner, other = replicas(), replicas()
    knows(owner, other)
    bad = [{"value": b"no-key"}, {"key": b"", "value": b"empty-key"}, {"key": b"k" * 65, "value": b"long-key"},
           {"key": b"n\0l", "value": b"odd-key"}, {"key": b"short", "value": b"no-id"},
           {"key": b"A" * 22, "value": b"no-answer"}, {"key": b"id"}, {"key": b"id", "value": b"v" * 100000},
           {"key": b"id", "value": b"n\0l"}]
    kafka.produce(owner.topic, *({**one, "partition": 0, "headers": {"kind": "alias"}} for one in bad))
    response = known(Response(owner, upstream).say("is known"), other)
    response.finish()
    late = replicas()
    knows(late)
    ids = ["resp_" + "0" * 48, "resp_" + "A" * 22, "x", "y" * 128, "z" * 2000]
    ids += [one["value"].decode() for one in bad[:6]]
    asked = [(gateway, id_) for gateway in (owner, other, late) for id_ in ids]
    with ThreadPoolExecutor(len(asked) + 2) as asking:
        sdks = asking.submit(sdk, other, "responses_retrieve", ids[0])
        cancels = asking.submit(Http(other.port).request, "POST", "/v1/responses/resp_0/cancel",
                                {"Content-Length": "0"})
        for answer in asking.map(lambda one: ask(*one), asked):
            assert answer.status == 404 and "error" in answer.json()
        assert sdks.result()["error"]["name"] == "NotFoundError" and cancels.result().status == 404
    assert text_of(retrieved(late, response.id)) == "is known"


def test_of_answers_with_one_id_the_latest_is_found(replicas, upstream):  # noqa: F811
    owner, other = replicas(), replicas()
    knows(owner, other)
    for word in ("first", "second"):
        response = Response(owner, upstream, "resp_again").say(word)
        whole = response.finish()
        name = known(response, other).http.headers["headgate-stream"].rsplit("/", 1)[1]
    wait_for(lambda: text_of(retrieved(other, "resp_again")) == "second", "the latest is known")
    assert retrieved(other, "resp_again") == retrieved(other, "resp_" + name) == whole


@pytest.mark.mock_only
def test_who_asks_a_moment_before_the_id_is_known_here_waits(replicas, upstream):  # noqa: F811
    owner, other = replicas(), replicas()
    knows(owner, other)
    for _ in range(20):  # a moment is two seconds, and this machine may be slower than that
        id_ = "resp_" + secrets.token_hex(24)
        with ThreadPoolExecutor(1) as asking:
            early = asking.submit(ask, other, id_)
            response = Response(owner, upstream, id_).say("in time")
            answer = early.result()
        response.finish()
        if answer.status == 200:
            assert b"in time" in answer.body()
            return
    pytest.fail("never")


@pytest.mark.mock_only
def test_so_many_ids_are_kept_as_are_configured(replicas, upstream):  # noqa: F811
    owner, other = replicas(), replicas(aliases=2)
    knows(owner, other)
    responses = [Response(owner, upstream).say(str(n)) for n in range(3)]
    for response in responses:
        response.finish()
    known(responses[-1], other)
    assert [text_of(retrieved(other, one.id)) for one in responses[1:]] == ["1", "2"]
    assert ask(other, responses[0].id).status == 404
    assert ask(owner, responses[0].id).status == 200


@pytest.mark.mock_only
def test_where_names_are_not_read_yet_nobody_is_told_that_there_is_none(replicas, upstream):  # noqa: F811
    gateway = replicas(kafka={"brokers": "127.0.0.1:1", "timeout": "200ms"})
    answer = ask(gateway, "resp_" + "0" * 48)
    assert answer.status == 503 and "retry-after" in answer.headers and "error" in answer.json()
    response = Response(gateway, upstream).say("here")
    response.finish()
    assert ask(gateway, response.id).status == 200  # what it made itself it knows


@pytest.mark.mock_only
def test_the_logs_of_two_streams_do_not_mix(gateways, kafka, upstream):  # noqa: F811
    routes = {f"/{name}/v1": {"kind": "openai", "stream": name} for name in ("chat", "talk")}
    config, streams = make_config(
        kafka, upstream, {name: kafka.topic() for name in ("chat", "talk")}, routes, {})
    owner, other = gateways(config, **streams), gateways(config, **streams)
    knows(owner, other)
    for gateway in (owner, other):
        gateway.wait_metric("generation_log_aliases_read", 1, stream="talk")
    response = Response(owner, upstream, path="/talk/v1/responses")
    response.finish()
    wait_for(lambda: ask(other, response.id, "/talk/v1/responses").status == 200, "it is known")
    for gateway in (owner, other):
        assert ask(gateway, response.id, "/talk/v1/responses").status == 200
        assert ask(gateway, response.id, "/chat/v1/responses").status == 404
