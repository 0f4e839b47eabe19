"""Models as streams: a mock of the providers from npm, and an upstream whose every byte is scripted."""

import json
import os
import shutil
import subprocess
import sys
import urllib.parse

import pytest

from conftest import missing
from harness import ROOT, free_port, wait_for
from wire import TRANSPORTS, Ended, Http

sys.path.insert(0, os.path.join(ROOT, "tests", "llm"))
from upstream import SSE, Upstream  # noqa: E402

pytestmark = pytest.mark.mock_only
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
each_dialect = pytest.mark.parametrize("dialect", ("anthropic", "openai", "responses", "ollama"))
KEY = "sk-never-to-be-seen"
AIMOCK = os.path.join(ROOT, "tests", "node_modules", "@copilotkit", "aimock", "dist", "cli.js")
FIXTURES = {
    "fixtures": [
        {"match": {"userMessage": "greet"}, "response": {"content": "Grüße, 日本 😀! " * 20}},
        {
            "match": {"userMessage": "think"},
            "response": {"content": "42", "reasoning": "Let me see."},
        },
        {
            "match": {"userMessage": "call"},
            "response": {
                "toolCalls": [
                    {"name": "get_weather", "arguments": {"city": "Zürich", "n": 12345678901}},
                    {"name": "get_time", "arguments": {}},
                ]
            },
        },
    ]
}


@pytest.fixture(scope="module")
def aimock(tmp_path_factory):
    if not shutil.which("node"):
        missing("no node: install the package nodejs")
    if not os.path.exists(AIMOCK):
        missing("no @copilotkit/aimock: make tests/node_modules")
    path = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    path.write_text(json.dumps(FIXTURES), encoding="utf-8")
    port = free_port()
    process = subprocess.Popen(
        ["node", AIMOCK, "-p", str(port), "-f", str(path), "--log-level", "warn", "-c", "7"],
        stdin=subprocess.DEVNULL,
    )

    def answers():
        assert process.poll() is None
        try:
            return Http(port).get("/health").status > 0
        except OSError:
            return False

    wait_for(answers, "aimock", timeout_s=60)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(30)


@pytest.fixture
def upstream():
    found = Upstream()
    yield found
    found.close()


@pytest.fixture
def chat(gateways):
    """A function that starts a gateway whose stream `chat` asks these upstreams."""

    def start(*upstreams, **more):
        named = [
            {"name": f"up-{n}", "key": KEY, **upstream} for n, upstream in enumerate(upstreams)
        ]
        source = {"upstreams": named, "retries": {"most": 1, "backoff": "1ms"}, **more}
        return gateways({"threads": 2}, chat={"source": {"llm": source}})

    return start


def asked(text, **more):
    """As a parameter of the query."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    return urllib.parse.quote(json.dumps(body))


def events(messages):
    return [json.loads(message.text)["data"] for message in messages]


def of_type(all_events, kind):
    return [event for event in all_events if event["type"] == kind]


def base_of(url, dialect):
    return url + ("/v1" if dialect in ("openai", "responses") else "")


@each_dialect
def test_a_mock_of_each_provider_gives_the_same_answer(chat, aimock, dialect):
    gateway = chat({"dialect": dialect, "base_url": base_of(aimock, dialect)})
    found = {}
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in ("get_weather", "get_time")
    ]
    for text in ("greet", "think", "call"):
        sub = gateway.subscribe("chat", "sse", request=asked(text, tools=tools))
        messages, _ = sub.until_end()
        found[text] = events(messages)
        assert found[text][0]["type"] == "start" and found[text][-1]["type"] == "done"
        assert len(of_type(found[text], "usage")) == 1
    greeting = [event["text"] for event in of_type(found["greet"], "text")]
    assert len(greeting) > 5 and "".join(greeting) == FIXTURES["fixtures"][0]["response"]["content"]
    assert found["greet"][-1]["reason"] == "stop"
    thought = "".join(event["text"] for event in of_type(found["think"], "thinking"))
    if dialect != "ollama":  # whose thinking the mock gives a name that Ollama does not
        assert thought == "Let me see."
    calls = [event for event in of_type(found["call"], "tool_call") if "arguments" in event]
    assert [(one["name"], json.loads(one["arguments"])) for one in calls] == [
        ("get_weather", {"city": "Zürich", "n": 12345678901}), ("get_time", {})]
    assert len({one["id"] for one in calls}) == 2
    assert found["call"][-1]["reason"] == "tool_calls"
    assert KEY not in gateway.log()


def delta(text):
    chunk = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]}
    return f"data: {json.dumps(chunk)}\n\n"


FINISH = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@each_transport
def test_each_delta_is_there_before_the_next_is_made(chat, upstream, transport):
    gateway = chat({"base_url": upstream.url})
    sub = gateway.subscribe("chat", transport, request=asked("x"))
    visit = upstream.accept()
    assert f"Authorization: Bearer {KEY}" in visit.head
    assert json.loads(visit.body)["messages"] == [{"role": "user", "content": "x"}]
    visit.send(SSE)
    for n in range(3):
        visit.chunk(delta(f"word-{n}"))
        want = ["start", "text"] if n == 0 else ["text"]
        got = events(sub.records(len(want)))
        assert [event["type"] for event in got] == want and got[-1]["text"] == f"word-{n}"
    visit.chunk(FINISH)
    messages, _ = sub.until_end()
    assert [event["type"] for event in events(messages)] == ["usage", "done"]


def test_who_leaves_closes_the_upstream(chat, upstream):
    gateway = chat({"base_url": upstream.url})
    sub = gateway.subscribe("chat", "ndjson", request=asked("x"))
    visit = upstream.accept()
    visit.send(SSE)
    visit.chunk(delta("a"))
    sub.records(2)
    sub.close()
    visit.wait_closed()
    gateway.wait_metric("request_streams", 0)


@each_transport
def test_a_failure_before_the_answer_and_in_it_is_told(chat, upstream, transport):
    gateway = chat({"base_url": upstream.url})
    for answer, code in (
        (b"HTTP/1.1 401 x\r\nContent-Length: 2\r\n\r\n{}", "authentication"),
        (SSE + b"3\r\n: a\r\n", "truncated"),
    ):
        sub = gateway.subscribe("chat", transport, request=asked("x"))
        visit = upstream.accept()
        visit.send(answer)
        visit.close()
        told = None
        with pytest.raises(Ended) as ended:
            while True:
                message = sub.next()
                told = json.loads(message.text) if message.event == "failed" else told
        assert told["code"] == code and told["message"]
        assert not ended.value.clean or ended.value.code == 1011
        assert gateway.metric("source_errors_total", stream="chat", reason=code) == 1
    assert KEY not in gateway.log()


def test_the_next_upstream_answers_where_the_first_is_busy(chat, upstream):
    gateway = chat(
        {"base_url": upstream.url, "models": ["m"]},
        {"base_url": upstream.url + "/second", "models": ["n", "m*"]},
    )
    sub = gateway.subscribe("chat", "sse", request=asked("x"))
    for _ in range(2):
        visit = upstream.accept()
        assert visit.head.startswith("POST /chat/completions ")
        visit.send(b"HTTP/1.1 529 x\r\nretry-after-ms: 1\r\nContent-Length: 0\r\n\r\n")
        visit.close()
    visit = upstream.accept()
    assert visit.head.startswith("POST /second/chat/completions ")
    visit.send(SSE)
    visit.chunk(delta("second") + FINISH)
    visit.end()
    messages, _ = sub.until_end()
    assert [event["text"] for event in of_type(events(messages), "text")] == ["second"]
    assert gateway.metric("source_errors_total", stream="chat", reason="overloaded") == 2


def test_what_cannot_be_asked_is_a_problem(chat):
    gateway = chat({"base_url": "http://127.0.0.1:1", "models": ["gpt-*"]}, requests=1)
    for query, status, words in (
        ("", 400, "request: is required"),
        ("?request=hello", 400, "the body must be a JSON object"),
        ("?request=" + urllib.parse.quote('{"model":"gpt-5","messages":[]}'), 400, "messages:"),
        ("?request=" + asked("x"), 404, "no upstream answers for 'm'"),
    ):
        http = gateway.get("/streams/chat" + query)
        problem = json.loads(http.body())
        assert (http.status, problem["status"]) == (status, status)
        assert words in problem["detail"], problem
