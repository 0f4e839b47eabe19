"""Answers beyond one machine: a log in Kafka, from which any gateway tells of any of them."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import wait_for
from test_generations import (Asked, answering, data_of, finish, join, last_control, post, question,
                              texts)
from test_llm import KEY, delta, upstream  # noqa: F401
from wire import TRANSPORTS, Http, Subscription, ws_frame

SILENCE_S = 2


@pytest.fixture
def replicas(gateways, kafka, upstream):  # noqa: F811
    """A function that starts gateways with the same log."""

    def start(count=2, partitions=3, generations=None, silence=f"{SILENCE_S}s", topic=None, slow=None,
              **more):
        log = {"silence": silence, **more, "kafka": {
            "brokers": kafka.bootstrap, "topic": topic or kafka.topic(partitions=partitions),
            "librdkafka_options": dict(kafka.client_options), **more.pop("kafka", {})}}
        llm = {"upstreams": [{"name": "up", "key": KEY, "base_url": upstream.url}],
               "retries": {"most": 0}, "log": log}
        stream = {"source": {"llm": llm}, "generations": generations or {}, **({"slow": slow} if slow else {})}
        config = {"threads": 2, "routes": {"/api/chat": {"stream": "chat"},
                                           "/v1": {"kind": "openai", "stream": "chat"}}}
        return [gateways(config, chat=stream) for _ in range(count)]

    return start


def hears(*all_gateways):
    for gateway in all_gateways:
        gateway.wait_metric("generation_log_hears", 1, stream="chat")


def objects(messages):
    return [json.loads(message.text) for message in messages]


def kill(gateway):
    gateway.process.kill()
    gateway.process.wait()
    gateway.process = None


def delete(gateway, url):
    return Http(gateway.port).request("DELETE", url, {})


def test_another_gateway_tells_of_an_answer_as_it_comes_and_after(replicas, upstream):  # noqa: F811
    owner, other = replicas()
    asked = Asked(owner)
    visit = answering(upstream, "one ", "two ")
    first = asked.records(3)
    early = [join(other, asked.url, transport) for transport in TRANSPORTS]
    for sub in early:
        assert objects(sub.records(3)) == objects(first) and sub.hello["resumed"] is False
        assert sub.hello["generation"] == asked.url.rsplit("/", 1)[1]
    visit.chunk(delta("three "))
    third = asked.records(1)
    for sub in early:
        assert objects(sub.records(1)) == objects(third)
    assert other.metric("generation_log_readers", stream="chat") == 1
    finish(visit)
    rest, _ = asked.until_end()
    for sub in early:
        messages, ended = sub.until_end()
        assert objects(messages) == objects(rest) and ended.clean
        assert last_control(sub)["event"] == "end"
    other.wait_metric("generation_log_reads_total", 1, stream="chat", result="whole")
    late, = replicas(1, topic=owner.config["streams"]["chat"]["source"]["llm"]["log"]["kafka"]["topic"])
    messages, ended = join(late, asked.url, "ndjson").until_end()
    assert objects(messages) == objects(first + third + rest) and ended.clean
    assert owner.metric("generation_log_records_total", result="written") >= 7


def test_a_token_of_one_gateway_goes_on_at_any_other(replicas, upstream):  # noqa: F811
    one, two = replicas()
    asked = Asked(one)
    visit = answering(upstream, *(f"word-{n} " for n in range(6)))
    half = objects(asked.records(4))
    tokens = [asked.hello["from"]] + [record["id"] for record in half]
    running = {n: join(two, asked.url, "ndjson", **{"from": tokens[n]}) for n in (0, 2, 4)}
    finish(visit)
    rest, _ = asked.until_end()
    whole = half + objects(rest)
    for n, sub in running.items():
        messages, ended = sub.until_end()
        assert objects(messages) == whole[n:] and ended.clean and sub.hello["resumed"] is True
    tokens = [asked.hello["from"]] + [record["id"] for record in whole]
    for n, token in enumerate(tokens):
        for gateway in (one, two):
            sub = Subscription(gateway.port, asked.url, "sse", {"Last-Event-ID": token})
            messages, ended = sub.until_end()
            assert objects(messages) == whole[n:] and ended.clean and sub.hello["resumed"] is True
            sub.close()


def test_a_gateway_that_dies_leaves_its_part_and_a_failure(replicas, upstream):  # noqa: F811
    owner, other = replicas()
    asked = Asked(owner)
    answering(upstream, "a part ")
    part = objects(asked.records(2))
    sub = join(other, asked.url, "sse")
    assert objects(sub.records(2)) == part
    kill(owner)
    for gateway in (other, owner.start()):  # the one that died, too, once it is there again
        sub = sub if gateway is other else join(owner, asked.url, "sse")
        messages, _ = sub.until_end()
        assert objects(messages) == ([] if gateway is other else part)
        assert last_control(sub)["event"] == "failed"
        assert last_control(sub)["code"] == "gateway_lost"
    messages, _ = join(other, asked.url, "ndjson").until_end()  # it is looked for anew
    assert objects(messages) == part
    other.wait_metric("generation_log_reads_total", 2, stream="chat", result="gateway_lost")


def test_a_silent_model_is_no_dead_gateway(replicas, upstream):  # noqa: F811
    owner, other = replicas(silence="1s")
    asked = Asked(owner)
    visit = answering(upstream, "slow ")
    sub = join(other, asked.url, "sse")
    sub.records(2)
    written = owner.metric("generation_log_records_total", result="written")
    wait_for(lambda: owner.metric("generation_log_records_total", result="written") >= written + 7,
             "seven beats")
    finish(visit)
    messages, ended = sub.until_end()
    assert ended.clean and last_control(sub)["event"] == "end"
    assert data_of(messages)[-1]["type"] == "done"


def test_delete_at_any_gateway_ends_it_at_its_own(replicas, upstream):  # noqa: F811
    owner, other = replicas()
    hears(owner)
    for who_knows in (True, False):
        asked = Asked(owner)
        answering(upstream, "not to be ended ")
        asked.records(2)
        subs = [join(other, asked.url, "ws")] if who_knows else []
        assert delete(other, asked.url).status == 204
        for sub in [asked, *subs]:
            sub.until_end()
            assert last_control(sub)["code"] == "cancelled", sub.controls
    owner.wait_metric("generations_ended_total", 2, stream="chat", reason="cancelled")
    asked = Asked(owner)
    answering(upstream, "nor this ")
    sub = join(other, asked.url, "ws")
    sub.records(2)
    sub.http.send(ws_frame(1, b'{"op":"cancel"}'))
    sub.until_end()
    assert last_control(sub)["code"] == "cancelled"


def test_a_viewer_elsewhere_keeps_an_answer_going(replicas, upstream):  # noqa: F811
    owner, other = replicas(generations={"grace": "0s"})
    hears(owner)
    asked = Asked(owner)
    visit = answering(upstream, "goes ")
    asked.records(2)
    sub = join(other, asked.url, "sse")
    sub.records(2)
    written = other.metric("generation_log_records_total", result="written")
    asked.close()
    owner.wait_metric("generation_viewers", 0, stream="chat")
    wait_for(lambda: other.metric("generation_log_records_total", result="written") >= written + 2,
             "it was said twice")
    visit.chunk(delta("on"))
    finish(visit)
    assert texts(sub.until_end()[0]) == "on" and last_control(sub)["event"] == "end"


def test_what_the_log_does_not_have_is_not_found(replicas, upstream):  # noqa: F811
    one, two = replicas()
    asked = Asked(one)
    finish(answering(upstream, "x"))
    asked.until_end()
    now = asked.url.rsplit("/", 1)[1][:8]  # of an id, the time
    for gateway in (one, two):
        for name in ("A" * 22, "_" * 22, now + "A" * 14, "short"):
            answer = gateway.get(f"/streams/chat/{name}")
            assert answer.status == 404, name
            assert answer.headers["content-type"] == "application/problem+json"
        assert delete(gateway, "/streams/chat/" + "A" * 22).status == 404


def test_an_answer_goes_on_here_where_the_log_does_not(replicas, upstream):  # noqa: F811
    gateway, = replicas(1, kafka={"brokers": "127.0.0.1:1", "timeout": "200ms"})
    for _ in range(2):
        asked = Asked(gateway)
        visit = answering(upstream, "without ", "a log")
        assert texts(asked.records(3)) == "without a log"
        finish(visit)
        assert asked.until_end()[1].clean
        assert texts(join(gateway, asked.url, "ndjson").until_end()[0]) == "without a log"
    wait_for(lambda: gateway.metric("generation_log_records_total", result="failed") > 0, "failures")
    assert gateway.log().count("does not take records") == 1
    answer = gateway.get("/streams/chat/" + asked.url.rsplit("/", 1)[1][:8] + "A" * 14)
    assert answer.status == 503 and "retry-after" in answer.headers


def test_the_readers_are_bounded(replicas, upstream):  # noqa: F811
    owner, other = replicas(readers=1)
    asked = [Asked(owner, str(n)) for n in range(2)]
    visits = [answering(upstream, "x") for _ in asked]
    for one in asked:
        one.records(2)
    join(other, asked[0].url, "ndjson").records(2)
    answer = other.get(asked[1].url)
    assert answer.status == 503 and "log.readers" in answer.body().decode()
    for visit in visits:
        finish(visit)
    other.wait_metric("generation_log_readers", 0, stream="chat")
    assert texts(join(other, asked[1].url, "ndjson").until_end()[0]) == "x"


def threads(gateway):
    return len(os.listdir(f"/proc/{gateway.pid}/task"))


def test_fifty_answers_are_read_by_as_many_clients_as_one(replicas, upstream):  # noqa: F811
    """Each late-comer has a past to read, and those who come together have different ones."""
    owner, other = replicas(generations={"per_caller": 0}, readers=50, silence="60s")
    hears(owner, other)
    asked, visits, first = [], [], []
    for n in range(50):
        asked.append(Asked(owner, str(n)))
        visits.append(answering(upstream, f"answer {n} ", "of fifty "))
        first.append(objects(asked[n].records(3)))
    alone = join(other, asked[0].url, "sse")
    assert objects(alone.records(3)) == first[0]
    with_one = threads(other)
    subs = [alone] + [join(other, asked[n].url, TRANSPORTS[n % 3]) for n in range(1, 50)]
    for n in range(1, 50):
        assert objects(subs[n].records(3)) == first[n], n
    assert other.metric("generation_log_readers", stream="chat") == 50
    assert other.metric("generation_log_clients", stream="chat") == 2
    assert threads(other) < with_one + 10  # librdkafka may have met another broker
    for n in (49, 0, 25):  # each goes on by itself
        visits[n].chunk(delta(f"more of {n}"))
        assert texts(subs[n].records(1)) == f"more of {n}"
        asked[n].records(1)
    for n in range(50):
        finish(visits[n])
        rest, _ = asked[n].until_end()
        messages, ended = subs[n].until_end()
        assert objects(messages) == objects(rest) and ended.clean, n
    other.wait_metric("generation_log_reads_total", 50, stream="chat", result="whole")
    other.wait_metric("generation_log_clients", 0, stream="chat")


def test_a_long_past_is_read_beside_what_comes(replicas, upstream):  # noqa: F811
    owner, other = replicas(partitions=1, silence="60s")
    long = Asked(owner, "long")
    visit = answering(upstream, *(f"{n} " for n in range(3000)))
    whole = objects(long.records(3001))
    short = Asked(owner, "short")
    other_visit = answering(upstream, "here ")
    here = objects(short.records(2))
    sub = join(other, short.url, "sse")
    assert objects(sub.records(2)) == here
    late = [join(other, long.url, transport) for transport in TRANSPORTS]
    other_visit.chunk(delta("on"))
    assert texts(sub.records(1)) == texts(short.records(1)) == "on"
    for one in late:
        assert objects(one.records(3001)) == whole
    visit.chunk(delta("last"))
    for one in late:
        assert texts(one.records(1)) == "last"
    for one in (visit, other_visit):
        finish(one)
    for one in (*late, sub):
        assert one.until_end()[1].clean and last_control(one)["event"] == "end"


def test_who_holds_an_answer_back_holds_no_other(replicas, upstream):  # noqa: F811
    owner, other = replicas(partitions=1, slow={"allow": ["pause"]}, silence="60s")
    held, free = Asked(owner, "held"), Asked(owner, "free")
    visits = [answering(upstream, name) for name in ("held", "free")]
    stuck = Subscription(other.port, held.url, "ndjson", rcvbuf=4096, slow="pause", queue="4")
    sub = join(other, free.url, "sse")
    sub.records(2)
    words = [f"{n}-" + "x" * 60000 for n in range(60)]
    for word in words:
        visits[0].chunk(delta(word))
    finish(visits[0])
    assert texts(held.until_end()[0]) == "held" + "".join(words)
    visits[1].chunk(delta("goes on"))
    assert texts(sub.records(1)) == "goes on"
    assert other.metric("generation_log_readers", stream="chat") == 2  # the held one is not through
    messages, ended = stuck.until_end()
    assert texts(messages) == "held" + "".join(words) and ended.clean
    finish(visits[1])
    assert sub.until_end()[1].clean
    stuck.close()


def test_the_views_of_an_answer_are_the_same_elsewhere(replicas, upstream):  # noqa: F811
    owner, other = replicas()
    http = post(owner, question(), path="/api/chat?envelope=raw")
    assert http.status == 200
    url = http.headers["location"]
    finish(answering(upstream, "raw"))
    for envelope in ("raw", "record", "full", "cloudevents"):
        subs = [Subscription(gateway.port, url, "ndjson", envelope=envelope)
                for gateway in (owner, other)]
        here, there = ([message.text for message in sub.until_end()[0]] for sub in subs)
        assert here == there and len(here) >= 3, envelope
        for sub in subs:
            sub.close()


def ask_response(gateway, upstream, *words):  # noqa: F811
    """(response, the upstream's side): its head waits until the answer begins."""
    body = json.dumps({"model": "m", "input": "x", "stream": True})
    with ThreadPoolExecutor(1) as asking:
        head = asking.submit(post, gateway, body, path="/v1/responses")
        visit = answering(upstream, *words)
        http = head.result()
    return http, "/v1/responses/resp_" + http.headers["headgate-stream"].rsplit("/", 1)[1], visit


def events_of(http):
    return http.body().split(b"\n\n")[:-1]


def test_a_response_is_resumed_and_cancelled_at_another_gateway(replicas, upstream):  # noqa: F811
    owner, other = replicas()
    hears(owner)
    http, name, visit = ask_response(owner, upstream, *(f"word-{n} " for n in range(5)))
    finish(visit)
    events = events_of(http)
    assert len(events) > 8
    for n in range(len(events)):  # its sequence numbers are from 0
        after = f"&starting_after={n - 1}" if n else ""
        answer = other.get(f"{name}?stream=true{after}")
        assert answer.status == 200 and events_of(answer) == events[n:]
        answer.close()
    unknown = other.get("/v1/responses/resp_" + "A" * 22 + "?stream=true")
    assert unknown.status == 404 and "error" in unknown.json()
    http, name, _ = ask_response(owner, upstream, "not to be ended")
    answer = Http(other.port).request("POST", name + "/cancel", {"Content-Length": "0"})
    assert answer.status == 200 and answer.json()["status"] == "cancelled"
    assert b"cancelled" in http.body()
    owner.wait_metric("generations_ended_total", 1, stream="chat", reason="cancelled")


def test_an_answer_that_is_not_all_in_the_log_is_not_taken_for_whole(replicas, upstream):  # noqa: F811
    owner, other = replicas(memory="64KiB")
    asked = Asked(owner)
    visit = answering(upstream, "a part ")
    asked.records(2)
    sub = join(other, asked.url, "sse")
    part = objects(sub.records(2))
    visit.chunk(delta("x" * 70000))
    visit.chunk(delta("and on"))
    finish(visit)
    messages, ended = asked.until_end()
    assert texts(messages) == "x" * 70000 + "and on" and ended.clean
    messages, _ = sub.until_end()
    assert messages == [] and last_control(sub)["code"] == "log_incomplete"
    messages, _ = join(other, asked.url, "ndjson").until_end()
    assert objects(messages) == part
    assert owner.metric("generation_log_records_total", result="dropped") >= 2
    other.wait_metric("generation_log_reads_total", 1, stream="chat", result="log_incomplete")
