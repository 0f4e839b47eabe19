"""The official SDKs pointed at the gateway, over recorded answers: as if they were at the upstream."""

import json
import os
import random
import shutil
import subprocess
import sys

import pytest

from conftest import missing
from cuts import Viewer, body_bytes, parse
from harness import ROOT, SCALE_FULL
from wire import TRANSPORTS, Ended, Http, Subscription

sys.path.insert(0, os.path.join(ROOT, "tests", "llm"))
from corpus_server import CorpusServer, names, recorded  # noqa: E402

pytestmark = pytest.mark.mock_only
NODE_MODULES = os.path.join(ROOT, "tests", "node_modules")
DIALECTS = ("anthropic", "openai", "responses", "ollama")
# What each SDK speaks: its package, our dialect, and its calls.
SDKS = {
    "openai": ("openai", "chat"),
    "openai-6": ("openai", "chat"),
    "@anthropic-ai/sdk": ("anthropic", "messages"),
    "anthropic-0": ("anthropic", "messages"),
}
TALKS = [(sdk, dialect, call) for sdk, (dialect, call) in SDKS.items()]
TALKS += [("openai", "responses", "responses"), ("openai-6", "responses", "responses")]
each_talk = pytest.mark.parametrize("sdk,dialect,call", TALKS, ids=lambda part: part.split("/")[-1])
each_call = pytest.mark.parametrize(
    "sdk,dialect,call", [talk for talk in TALKS if talk[0] in ("openai", "@anthropic-ai/sdk")],
    ids=lambda part: part.split("/")[-1])


@pytest.fixture(scope="module")
def upstream():
    server = CorpusServer()
    yield server
    server.shutdown()


@pytest.fixture
def sdk_gateway(gateways, upstream):
    """A gateway that knows models by the dialect that their names begin with."""

    def start(**more):
        bases = {name: upstream.url + ("/v1" if name in ("openai", "responses") else "")
                 for name in DIALECTS}
        named = [{"name": name, "dialect": name, "base_url": bases[name], "models": [name + "/*"],
                  "client_key": True} for name in DIALECTS]
        named.append({"name": "refuses", "base_url": upstream.url, "models": ["status/*", "a-model"]})
        source = {"upstreams": named, "retries": {"most": 1, "backoff": "1ms"}}
        routes = {"/v1": {"kind": "openai", "stream": "chat"},
                  "/": {"kind": "anthropic", "stream": "chat"}}
        return gateways({"threads": 2, "routes": routes},
                        chat={"source": {"llm": source},
                              "generations": {"max": 256, "per_caller": 0, "kept": 1000}, **more})

    return start


def run(jobs, timeout_s=300):
    if not shutil.which("node"):
        missing("no node: install the package nodejs")
    if not os.path.exists(os.path.join(NODE_MODULES, "openai")):
        missing("no SDKs: make tests/node_modules")
    # Node looks for packages from where a program really is.
    program = os.path.join(ROOT, "tests", "llm", "sdk.mjs")
    done = subprocess.run(["node", program], input=json.dumps(jobs).encode(), capture_output=True,
                          timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return json.loads(done.stdout)


def body_of(call, model, text="hello"):
    if call.startswith("responses"):
        return {"model": model, "input": text}
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    if call.startswith("messages"):
        return {**body, "max_tokens": 100}
    return body


def job(sdk, base, call, model, **more):
    body = body_of(call, model)
    if call.startswith("chat_"):
        body["stream_options"] = {"include_usage": True}
    path = "" if SDKS[sdk][0] == "anthropic" else "/v1"
    return {"sdk": sdk, "baseURL": base + path, "call": call, "body": body, **more}


def url_of(gateway):
    return f"http://127.0.0.1:{gateway.port}"


def golden(name):
    """The normalized events of a recorded answer."""
    return [json.loads(line) for line in recorded(name, "events").splitlines()]


def has_failed(name):
    return golden(name)[-1]["type"] == "failed"


@each_talk
def test_an_sdk_sees_what_it_sees_at_the_upstream(sdk_gateway, upstream, sdk, dialect, call):
    gateway = sdk_gateway()
    shapes = names(dialect)
    bases = (upstream.url, url_of(gateway))
    results = iter(run([job(sdk, base, call + kind, shape)
                        for shape in shapes for kind in ("_stream", "_helper") for base in bases]))
    compared = 0
    for shape in shapes:
        for kind in ("_stream", "_helper"):
            straight, through = next(results), next(results)
            if has_failed(shape):
                assert through["error"], (shape, kind, through)
                continue
            assert not through["error"] or straight["error"], (shape, kind, through["error"])
            if straight["error"] or (kind == "_stream" and not straight["events"]):
                continue  # what it cannot read of that server: events without a name
            assert through == straight, (shape, kind)
            compared += 1
    assert compared >= 15


def without(value, names):
    """But for what the helpers add by themselves."""
    if isinstance(value, dict):
        return {name: without(one, names) for name, one in value.items() if name not in names}
    return [without(one, names) for one in value] if isinstance(value, list) else value


@each_call
def test_one_object_is_what_the_streams_events_add_up_to(sdk_gateway, upstream, sdk, dialect, call):
    """Of the same dialect, as the SDK's own helper adds them up at the upstream: the server's own tools
    and logprobs are in it. Chat completions, which servers write each in its way, are said anew."""
    gateway = sdk_gateway()
    shapes = [shape for shape in names(dialect) if not has_failed(shape)]
    jobs = [job(sdk, base, call + kind, shape) for shape in shapes
            for base, kind in ((upstream.url, "_helper"), (url_of(gateway), ""))]
    results, same = iter(run(jobs)), []
    for shape in shapes:
        added, whole = next(results), next(results)
        assert not whole["error"], (shape, whole["error"])
        assert said(call, whole["final"])[0] == paired(expected(golden(shape))[0]), shape
        told = [without(one["final"], ("parsed", "parsed_output", "output_parsed"))
                for one in (added, whole)]
        if told[0] == told[1]:
            same.append(shape)
        if shape == "openai/logprobs":
            assert told[0]["choices"] == told[1]["choices"]
    assert dialect != "anthropic" or len(same) >= 20
    assert {"anthropic": "anthropic/server_tool", "responses": "responses/web_search"}.get(
        dialect, None) in (None, *same)


def test_one_object_has_one_choice(sdk_gateway):
    gateway = sdk_gateway()
    one = job("openai", url_of(gateway), "chat", "openai/two_choices")
    one["body"]["n"] = 2
    [result] = run([one])
    assert result["error"]["status"] == 400 and result["error"]["message"].startswith("400 n:")


# ---- from one dialect to another ----


def expected(events):
    """What an answer says, of its normalized events."""
    text = "".join(one["text"] for one in events if one["type"] == "text")
    whole = [one for one in events if one["type"] == "tool_call" and "arguments" in one]
    whole.sort(key=lambda one: one["index"])
    return text, [(one["id"], one["name"], one["arguments"]) for one in whole]


def said(call, final):
    """The same of what an SDK's helper has put together, or of one object."""
    if call == "chat":
        message = final["choices"][0]["message"]
        calls = [(one["id"], one["function"]["name"], one["function"]["arguments"])
                 for one in message.get("tool_calls") or []]
        return (message["content"] or "") + (message.get("refusal") or ""), calls
    if call == "messages":
        text = "".join(block["text"] for block in final["content"] if block["type"] == "text")
        calls = [(block["id"], block["name"], json.dumps(block["input"]))
                 for block in final["content"] if block["type"] == "tool_use"]
        return text, calls
    text = "".join(part.get("text") or part.get("refusal") or "" for item in final["output"]
                   if item["type"] == "message" for part in item["content"])
    calls = [(item["call_id"], item["name"], item["arguments"])
             for item in final["output"] if item["type"] == "function_call"]
    return text, calls


def paired(text):
    """Halves of a surrogate pair that came in two pieces are one character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def loads(text):
    """Arguments, whose JSON may have been cut off by max_tokens, or be no JSON of a custom tool."""
    try:
        return json.loads(text, parse_int=float)  # JavaScript has no others
    except ValueError:
        return {}


@each_call
def test_an_sdk_reads_the_answers_of_other_providers(sdk_gateway, sdk, dialect, call):
    gateway = sdk_gateway()
    shapes = [name for other in DIALECTS if other != dialect for name in names(other)]
    kinds = ("_helper", "")  # streamed, and one object
    jobs = [job(sdk, url_of(gateway), call + kind, shape) for shape in shapes for kind in kinds]
    results = iter(run(jobs))
    for shape in shapes:
        for kind in kinds:
            result = next(results)
            if has_failed(shape):
                assert result["error"], (shape, kind, result["final"])
                continue
            text, calls = expected(golden(shape))
            if kind and any(loads(args) == {} and args != "{}" for _, _, args in calls):
                continue  # a helper may refuse arguments that are no JSON, as its provider's
            assert not result["error"], (shape, kind, result["error"])
            got_text, got_calls = said(call, result["final"])
            assert got_text == paired(text), (shape, kind)
            assert [(one[0], one[1], loads(one[2])) for one in got_calls] == [
                (one[0], one[1], loads(one[2])) for one in calls], (shape, kind)


# ---- an upstream that ends too early ----

CUT = {"anthropic": "anthropic/stop_sequence", "openai": "openai/usage_absent",
       "responses": "responses/brief"}
STRIDE = 1 if SCALE_FULL else 41


def is_whole(data, cut):
    """None: all is said, but for the end of the last event, without which it may count or not."""
    if data[cut:].strip():
        return False
    return True if cut == len(data) or data[:cut].endswith(b"\n\n") else None


@each_call
def test_no_sdk_takes_a_part_for_the_whole(sdk_gateway, sdk, dialect, call):
    """Three recorded answers end after each of their bytes, those of other providers, every day, after
    many: the body well, or the connection; streamed and not. `make accept-answers`: all of these, after each."""
    gateway = sdk_gateway()
    jobs, wanted = [], []
    for other, shape in CUT.items():
        data = recorded(shape)
        own = other == {"chat": "openai", "messages": "anthropic"}.get(call, call)
        cuts = range(len(data) + 1) if own else [*range(random.randrange(STRIDE), len(data), STRIDE),
                                                 len(data) - 4, len(data) - 3, len(data)]
        for cut in cuts:
            ways = [(how, kind) for how in "@!" for kind in ("_stream", "")]
            for how, kind in ways if SCALE_FULL else [random.choice(ways)]:
                jobs.append(job(sdk, url_of(gateway), call + kind, f"{shape}{how}{cut}"))
                wanted.append(is_whole(data, cut))
    for one, whole, result in zip(jobs, wanted, run(jobs)):
        error = result["error"]
        assert whole is None or bool(error) != whole, (one, result)
        # Where nothing came yet, and of what is not streamed, as an HTTP error.
        assert not error or error["name"] in ("APIError", "InternalServerError"), (one, error)


def test_every_viewer_sees_that_an_answer_is_a_part(sdk_gateway):
    """At each byte of the same: who asked, and one who comes later."""
    gateway = sdk_gateway()
    viewers = {transport: Viewer(gateway, transport) for transport in TRANSPORTS}
    http, n = Http(gateway.port), 0
    for shape in CUT.values():
        data = recorded(shape)
        for cut in range(len(data) + 1):
            n += 1
            endings = {True: ["end"], False: ["failed"], None: ["end", "failed"]}[is_whole(data, cut)]
            transport = TRANSPORTS[n % len(TRANSPORTS)]
            body = json.dumps(body_of("chat", f"{shape}{'@!'[n % 2]}{cut}")).encode()
            try:
                http.request("POST", "/streams/chat", {"Content-Length": str(len(body))}, body=body)
            except (Ended, OSError):  # a failure ended it
                http.close()
                http = Http(gateway.port)
                http.request("POST", "/streams/chat", {"Content-Length": str(len(body))}, body=body)
            told = parse("ndjson", body_bytes(http))
            ending = told[-1].control
            assert ending in endings, (shape, cut, told)
            later = parse(transport, viewers[transport].read(http.headers["location"]))
            assert ending in (later[-1].control, later[-2].control), (shape, cut, later)
            for one in (told, later):
                assert ending == "end" or b'"done"' not in one[-2].data, (shape, cut)


# ---- those for Python ----

# What passes on as it came, and is not what that SDK takes for text: content that is a list; a second
# choice; text in the block's start, which servers that resemble Anthropic send.
NOT_TEXT = {("chat", "openai/mistral_parts"), ("chat", "openai/two_choices")}
PYTHON = os.path.join(ROOT, "build", "python-sdks")
PACKAGES = ("openai==3.57.0", "anthropic==2.14.0")


@pytest.fixture(scope="module")
def python_sdks():
    """A Python that has them, made once."""
    done = os.path.join(PYTHON, "done-" + "-".join(PACKAGES))
    if not os.path.exists(done):
        pip = [os.path.join(PYTHON, "bin", "pip"), "install", "-q", *PACKAGES]
        for command in (["/usr/bin/python3", "-m", "venv", PYTHON], pip):
            made = subprocess.run(command, capture_output=True, timeout=600, check=False)
            if made.returncode != 0:
                missing("no SDKs from PyPI: " + made.stderr.decode()[-500:])
        with open(done, "w", encoding="utf-8"):
            pass
    return os.path.join(PYTHON, "bin", "python3")


@pytest.mark.parametrize("call", ("chat", "messages", "responses"))
def test_the_sdks_for_python_read_every_answer(sdk_gateway, python_sdks, call):
    gateway = sdk_gateway()
    base = url_of(gateway) + ("" if call == "messages" else "/v1")
    shapes = [name for dialect in DIALECTS for name in names(dialect)]
    jobs = [{"call": call, "baseURL": base, "body": body_of(call, shape)} for shape in shapes]
    if call == "responses":
        shapes.append("anthropic/tool")
        jobs.append({**jobs[0], "call": "responses_resume", "body": body_of(call, shapes[-1])})
    program = os.path.join(ROOT, "tests", "llm", "sdk.py")
    done = subprocess.run([python_sdks, program], input=json.dumps(jobs).encode(),
                          capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    results = json.loads(done.stdout)
    assert len(results) == len(jobs)
    for one, shape, result in zip(jobs, shapes, results):
        if has_failed(shape):
            assert result["error"], (shape, result)
        elif one["call"] == "responses_resume":
            assert int(result["text"]) > 5, result
        else:
            text = paired(expected(golden(shape))[0])
            assert not result["error"], (shape, result)
            assert paired(result["text"]) == text or (call, shape) in NOT_TEXT, (shape, result)


# ---- responses: resume and cancel ----


@pytest.mark.parametrize("sdk", ("openai", "openai-6"))
def test_a_response_is_resumed_by_the_sdk_after_each_event(sdk_gateway, sdk):
    gateway = sdk_gateway()
    shapes = ("responses/text", "responses/tools_in_parallel", "anthropic/tool", "ollama/tools")
    for shape in shapes:  # one by one: the recorded ones all have the same id
        [result] = run([job(sdk, url_of(gateway), "responses_resume", shape)])
        assert not result["error"], (shape, result["error"])
        assert result["final"] == [] and len(result["events"]) > 5, (shape, result)


def test_a_response_is_cancelled_by_the_sdk(sdk_gateway, upstream):
    gateway = sdk_gateway()
    cut = recorded("anthropic/text").rfind(b"event: content_block_stop")
    [result] = run([job("openai", url_of(gateway), "responses_cancel", f"anthropic/text%{cut}",
                        cancel_at="response.output_text.delta")])
    assert result["final"]["status"] == "cancelled"
    assert result["error"]["name"] == "APIError", result
    gateway.wait_metric("generations", 0, stream="chat", timeout_s=30)


# ---- errors, keys, models ----


ERRORS = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError",
          429: "RateLimitError", 529: "InternalServerError"}


@each_call
def test_an_upstreams_refusal_is_the_sdks_own_error(sdk_gateway, upstream, sdk, dialect, call):
    gateway = sdk_gateway()
    jobs = [job(sdk, url_of(gateway), call + kind, f"status/{status}", maxRetries=2)
            for status in ERRORS for kind in ("", "_stream")]
    before = len(upstream.visits)
    for one, result in zip(jobs, run(jobs)):
        status = int(one["body"]["model"].split("/")[1])
        assert result["error"]["status"] == status, (one, result)
        assert result["error"]["name"] in (ERRORS[status], "OverloadedError"), (one, result)
        assert "as it was asked" in result["error"]["message"], result
    # We try twice where that may help; the SDK is told not to.
    assert len(upstream.visits) - before == sum(
        2 * (2 if status in (429, 529) else 1) for status in ERRORS)


@each_call
def test_how_long_an_upstream_wants_to_be_left_alone_is_passed_on(sdk_gateway, upstream, sdk, dialect, call):
    """Where it is longer than the gateway waits itself, and where that has waited in vain."""
    gateway = sdk_gateway()
    told = {"status/429/3600": ("3600", "3600000"), "status/529/99999999": ("86400", "86400000"),
            "status/429": ("1", "1"), "status/401/0": (None, None), "status/400/soon": (None, None)}
    jobs = [job(sdk, url_of(gateway), call + kind, model, maxRetries=2)
            for model in told for kind in ("", "_stream")]
    before = len(upstream.visits)
    for one, result in zip(jobs, run(jobs)):
        error = result["error"]
        assert (error["retryAfter"], error["retryAfterMs"]) == told[one["body"]["model"]], (one, result)
    assert len(upstream.visits) - before == len(jobs) + 2, "who asks for an hour is asked once"


@each_call
def test_what_cannot_be_said_is_a_bad_request_that_names_it(sdk_gateway, sdk, dialect, call):
    gateway = sdk_gateway()
    other = "openai/text" if dialect == "anthropic" else "anthropic/text"
    member = {"top_k": 3} if dialect == "anthropic" else {"web_search_options": {}}
    if call == "responses":
        member = {"previous_response_id": "resp_1"}
    one = job(sdk, url_of(gateway), call, other)
    one["body"].update(member)
    nobody = job(sdk, url_of(gateway), call, "of-nobody")
    result, unknown = run([one, nobody])
    assert (result["error"]["status"], result["error"]["name"]) == (400, "BadRequestError")
    assert list(member)[0] in result["error"]["message"]
    assert (unknown["error"]["status"], unknown["error"]["name"]) == (404, "NotFoundError")
    assert "of-nobody" in unknown["error"]["message"]


def test_keys_and_versions_pass_on_as_each_sdk_sends_them(sdk_gateway, upstream):
    gateway = sdk_gateway()
    for sdk, header, value, version in (
        ("@anthropic-ai/sdk", "authorization", "Bearer sk-of-the-client", "2026-10-21"),
        ("anthropic-0", "x-api-key", "sk-of-the-client", "2023-06-01"),
    ):
        [result] = run([job(sdk, url_of(gateway), "messages_stream", "anthropic/text")])
        assert not result["error"]
        path, headers, body = upstream.visits[-1]
        headers = {name.lower(): told for name, told in headers.items()}
        assert path == "/v1/messages" and body["stream"] is True
        assert headers[header] == value and headers["anthropic-version"] == version
        assert not {"authorization", "x-api-key"} - {header} & set(headers)
        # To another provider in its own form.
        [result] = run([job(sdk, url_of(gateway), "messages_stream", "openai/text")])
        headers = {name.lower(): told for name, told in upstream.visits[-1][1].items()}
        assert headers["authorization"] == "Bearer sk-of-the-client"
        assert "x-api-key" not in headers and "anthropic-version" not in headers
    assert "sk-of-the-client" not in gateway.log()


def test_the_models_that_the_configuration_names_are_listed(sdk_gateway):
    gateway = sdk_gateway()
    jobs = [{"sdk": "openai", "baseURL": url_of(gateway) + "/v1", "call": "models"},
            {"sdk": "@anthropic-ai/sdk", "baseURL": url_of(gateway), "call": "models"}]
    for result in run(jobs):
        assert not result["error"]
        assert [model["id"] for model in result["events"]] == ["a-model"]


# ---- an SDK's answer is a stream too ----


def ask(gateway, path, body, **headers):
    body = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    return Http(gateway.port).request("POST", path, headers, body=body)


def test_an_answer_that_an_sdk_asked_for_is_a_stream_too(sdk_gateway):
    gateway = sdk_gateway()
    for shape in ("anthropic/tool", "openai/tool"):
        http = ask(gateway, "/v1/messages", body_of("messages", shape) | {"stream": True})
        assert http.status == 200 and b"message_stop" in http.body()
        sub = Subscription(gateway.port, http.headers["headgate-stream"], "sse", envelope="data")
        events = []
        with pytest.raises(Ended) as ended:
            while True:
                message = sub.next()
                if message.event is None:
                    events.append(json.loads(message.text))
        assert ended.value.clean and events == golden(shape)


def test_raw_shows_what_the_upstream_sent(sdk_gateway):
    gateway = sdk_gateway()
    body = body_of("chat", "anthropic/thinking")
    http = ask(gateway, "/streams/chat?envelope=raw", body, Accept="application/x-ndjson")
    lines = [json.loads(line) for line in http.body().splitlines()]
    raw = [line for line in lines if "event" not in line]
    sent = [json.loads(line[6:]) for line in recorded("anthropic/thinking").decode().splitlines()
            if line.startswith("data: ")]
    assert [line["data"] for line in raw] == sent
    assert [line["type"] for line in raw] == [event["type"] for event in sent]
    assert not [line for line in lines if line.get("event") == "gap"]
    # Another one sees the events of the same answer; of one without, raw is refused.
    where = http.headers["headgate-stream"]
    plain = Http(gateway.port).get(where + "?envelope=data", {"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in plain.body().splitlines()] == golden("anthropic/thinking")
    http = ask(gateway, "/streams/chat", body, Accept="application/x-ndjson")
    http.body()
    refused = Http(gateway.port).get(http.headers["headgate-stream"] + "?envelope=raw")
    assert refused.status == 400 and b"envelope=raw" in refused.body()


def test_a_refusal_of_the_gateways_own_is_in_the_dialect_too(sdk_gateway):
    gateway = sdk_gateway()
    for path, kind in (("/v1/messages", "error"), ("/v1/chat/completions", None)):
        http = ask(gateway, path, {}, **{"Content-Type": "text/plain"})
        told = json.loads(http.body())
        assert http.status == 415 and told.get("type") == kind
        assert "Content-Type" in told["error"]["message"]
        assert ask(gateway, path, {"model": "a-model" + "x" * 2_000_000}).status == 413
    assert Http(gateway.port).get("/v1/messages").status == 405
    assert Http(gateway.port).get("/v1/responses/resp_none?stream=true").status == 404


def test_a_failure_is_the_dialects_error_and_heartbeats_trip_nobody_over(sdk_gateway):
    gateway = sdk_gateway()
    for path, name in (("/v1/chat/completions", None), ("/v1/messages", "error"),
                       ("/v1/responses", "error")):
        call = {"/v1/responses": "responses"}.get(path, "messages")
        http = ask(gateway, path, body_of(call, "anthropic/overloaded_in_the_stream") |
                   {"stream": True})
        blocks = http.body().decode().split("\n\n")
        assert blocks[-1] == "" and "id: " not in http.headers and "\nid:" not in "".join(blocks)
        assert not [block for block in blocks if block.startswith((":", "retry:"))]
        last = blocks[-2].split("\n")
        assert (last[0] == f"event: {name}") == (name is not None)
        told = json.loads(last[-1].removeprefix("data: "))
        assert told["error"]["message"] == "Overloaded"
        assert "[DONE]" not in "".join(blocks) and "message_stop" not in "".join(blocks)


ALLOWED = ("Accept, Authorization, Cache-Control, Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Range, "
           "If-Unmodified-Since, Last-Event-ID, Range")


def test_a_page_may_send_what_its_sdk_sends(gateways, upstream):
    source = {"upstreams": [{"name": "a", "dialect": "anthropic", "base_url": upstream.url, "models": ["a"]}]}
    gateway = gateways({"cors": {"origins": ["https://app.example"]}, "routes": {"/": {"kind": "anthropic", "stream": "chat"}}},
                       chat={"source": {"llm": source}})
    asked = "anthropic-dangerous-direct-browser-access,anthropic-version,content-type,x-api-key,x-stainless-os"
    for path, wanted, allowed in (("/v1/messages", asked, asked), ("/v1/models", asked, asked),
                                  ("/v1/messages", "a b:c", ALLOWED)):
        http = Http(gateway.port).request("OPTIONS", path, {
            "Origin": "https://app.example", "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": wanted})
        assert http.status == 204 and http.headers["access-control-allow-origin"] == "https://app.example"
        assert http.headers["access-control-allow-headers"] == allowed
        assert http.headers["access-control-allow-methods"] == "GET, OPTIONS, POST"
        http.close()


def test_a_page_can_read_why_its_answer_did_not_begin(gateways, upstream):
    source = {"upstreams": [{"name": "a", "dialect": "openai", "base_url": upstream.url}], "retries": {"most": 0}}
    gateway = gateways({"cors": {"origins": ["https://app.example"]}, "routes": {"/v1": {"kind": "openai", "stream": "chat"}}},
                       chat={"source": {"llm": source}})
    body = b'{"model":"status/429","messages":[{"role":"user","content":"x"}]}'
    http = Http(gateway.port).request("POST", "/v1/chat/completions", {
        "Origin": "https://app.example", "Content-Length": str(len(body))}, body=body)
    assert http.status == 429 and http.json()["error"]["code"] == "rate_limited"
    assert http.headers["access-control-allow-origin"] == "https://app.example" and "origin" in http.headers["vary"].lower()
    assert http.headers["x-content-type-options"] == "nosniff"
    assert http.headers["headgate-stream"] == "/streams/chat/" + http.headers["x-request-id"]
    http = Http(gateway.port).request("POST", "/v1/responses", {"Content-Length": "13"}, body=b'{"model":"a"}')
    assert http.status == 400 and http.json()["error"]["message"].startswith("input: ")
