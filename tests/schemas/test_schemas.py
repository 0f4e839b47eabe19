"""The descriptions in schemas/: valid for their validators, equal to what the program generates, true of what it sends."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
import validators
import yaml

sys.path.insert(0, os.path.join(validators.ROOT, "tests", "ports"))
import ports  # noqa: E402

HEADGATE = os.path.join(validators.ROOT, "build", "headgate")
DRAFT_07 = "http://json-schema.org/draft-07/schema#"


def load(name):
    with open(os.path.join(validators.SCHEMAS, name), encoding="utf-8") as f:
        return json.load(f)


def test_messages_are_told_right_from_wrong():
    with open(os.path.join(validators.HERE, "cases.json"), encoding="utf-8") as f:
        cases = json.load(f)
    wrong = [
        (case["what"], verdict)
        for case, verdict in zip(cases, validators.verdicts(cases))
        if (verdict == "") != case["valid"]
    ]
    assert not wrong


@pytest.mark.parametrize("name", ["record", "control", "problem", "config"])
def test_schema_names_its_draft(name):
    assert load(name + ".schema.json")["$schema"] == DRAFT_07


def test_config_schema_is_what_the_program_prints():
    printed = subprocess.run(
        [HEADGATE, "config", "schema"], check=True, capture_output=True, text=True, timeout=20
    ).stdout
    with open(os.path.join(validators.SCHEMAS, "config.schema.json"), encoding="utf-8") as f:
        assert f.read() == printed, "run `make schemas`"


def config_files():
    found = []
    for top in ("examples", "deploy"):
        for folder, _, names in os.walk(os.path.join(validators.ROOT, top)):
            found += [os.path.join(folder, n) for n in names if n == "gateway.yaml"]
    return sorted(found)


def test_config_schema_takes_every_file_that_the_program_takes():
    schema = load("config.schema.json")
    files = config_files()
    assert files
    cases = []
    for path in files:
        with open(path, encoding="utf-8") as f:
            cases.append({"schema": {**schema, "$id": path}, "value": yaml.safe_load(f)})
    assert dict(zip(files, validators.verdicts(cases))) == {path: "" for path in files}


@pytest.mark.parametrize(
    "change",
    [{"listem": "127.0.0.1:1"}, {"streams": {"a": {"source": {"kafka": {"topics": ["a"]}}}}}, {"threads": -1}],
)
def test_config_schema_refuses_what_the_program_refuses(change, tmp_path):
    value = {
        "listen": "127.0.0.1:0",
        "streams": {"a": {"source": {"kafka": {"brokers": "localhost:9092", "topics": ["a"]}}}},
    }
    schema = load("config.schema.json")
    bad = {**value, **change}
    verdicts = validators.verdicts(
        [{"schema": {**schema, "$id": "good"}, "value": value}, {"schema": {**schema, "$id": "bad"}, "value": bad}]
    )
    assert verdicts[0] == "" and verdicts[1] != ""
    for config, status in ((value, 0), (bad, 1)):
        path = tmp_path / "gateway.yaml"
        path.write_text(yaml.safe_dump(config))
        assert subprocess.run([HEADGATE, "check", "-c", path], timeout=20, capture_output=True).returncode == status


def test_openapi_is_valid():
    modules = validators.install()
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    if int(re.match(r"v(\d+)", version)[1]) < 20:
        pytest.skip("Redocly needs Node.js 20")
    done = subprocess.run(
        [os.path.join(modules, "node_modules", ".bin", "redocly"), "lint", "openapi.yaml", "--format=json"],
        cwd=validators.SCHEMAS, capture_output=True, text=True, timeout=120,
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
    )
    problems = [p for p in json.loads(done.stdout[done.stdout.index("{"):])["problems"] if not p.get("ignored")]
    assert done.returncode == 0 and not problems, done.stdout


def test_asyncapi_is_valid():
    done = validators.node("asyncapi", os.path.join(validators.SCHEMAS, "asyncapi.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_descriptions_name_the_same_parameters():
    """One list of query parameters in both descriptions, and in the program's table those that it serves."""
    with open(os.path.join(validators.SCHEMAS, "openapi.yaml"), encoding="utf-8") as f:
        openapi = yaml.safe_load(f)
    with open(os.path.join(validators.SCHEMAS, "asyncapi.yaml"), encoding="utf-8") as f:
        asyncapi = yaml.safe_load(f)
    query = {p["name"]: p["schema"] for p in openapi["components"]["parameters"].values() if p["in"] == "query"}
    websocket = asyncapi["channels"]["stream"]["bindings"]["ws"]["query"]["properties"]
    with open(os.path.join(validators.ROOT, "gateway", "params.c"), encoding="utf-8") as f:
        served = set(re.findall(r'\{"([a-z_]+)", (?:set|add)_', f.read()))
    assert set(query) == served
    assert set(query) - set(websocket) == {"format"} and set(websocket) <= set(query)
    assert all(websocket[name].get("enum") == query[name].get("enum") for name in websocket)


def test_list_of_streams_is_as_described(tmp_path):
    """The program's own answer, by the schema in openapi.yaml."""
    with open(os.path.join(validators.SCHEMAS, "openapi.yaml"), encoding="utf-8") as f:
        described = yaml.safe_load(f)["components"]["schemas"]
    schema = {"$id": "streams", **described["Streams"], "definitions": {"Stream": described["Stream"]}}
    schema["properties"]["streams"]["items"] = {"$ref": "#/definitions/Stream"}
    port = ports.GATEWAYS.free()
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "listen: 127.0.0.1:%d\nadmin: 127.0.0.1:0\ndrain: {grace: 0s, timeout: 1s}\n" % port
        + "streams: {made: {source: {synthetic: {rate: 10}}}}\n"
    )
    gateway = subprocess.Popen([HEADGATE, "run", "-c", path], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        value = fetch("http://127.0.0.1:%d/streams" % port)
        problem = fetch("http://127.0.0.1:%d/nothing" % port)
    finally:
        gateway.terminate()
        assert gateway.wait(20) == 0
    assert [stream["name"] for stream in value["streams"]] == ["made"]
    cases = [{"schema": schema, "value": value}, {"schema": "problem.schema.json", "value": problem}]
    assert validators.verdicts(cases) == ["", ""]


def fetch(url):
    """The JSON there, whatever its status, once something listens."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            return json.load(refused)
        except urllib.error.URLError:
            assert time.monotonic() < deadline, url
            time.sleep(0.05)
