"""The progress of a download, watched live: over every transport, by several, to its end or its cut."""

import json
import random
import re
import shutil
import ssl
import subprocess
import time

import pytest

from conftest import needs
from harness import wait_for
from wire import TRANSPORTS, Ended, Http, Subscription

pytestmark = pytest.mark.mock_only
SIZE = 8 << 20
PATH = "/files/data.bin"


@pytest.fixture
def files(tmp_path):
    directory = tmp_path / "files"
    directory.mkdir()
    (directory / "data.bin").write_bytes(random.randbytes(SIZE))
    return directory


@pytest.fixture
def gateway(gateways, files):
    return gateways(
        {"routes": {"/files/{name}": {"kind": "download", "directory": str(files)}},
         "downloads": {"watchers": 4}},
        s={"source": {"synthetic": {}}},
    )


def new_id():
    return f"{random.getrandbits(128):032x}"


def watch(gateway, name, transport="ndjson", port=None):
    return Subscription(port or gateway.port, PATH + "/progress", transport, id=name)


def download(gateway, name, **headers):
    """Begun, its head read, little more taken."""
    http = Http(gateway.port, rcvbuf=16384)
    headers = {key.replace("_", "-"): value for key, value in headers.items()}
    return http.get(f"{PATH}?progress={name}", headers)


def until_end(sub):
    """What it is told, and how it ends."""
    told = []
    while True:
        try:
            message = sub.next()
        except Ended as ended:
            return told, ended
        told.append(json.loads(message.text))


def read_to(sub, least):
    """Until it is told that much is done."""
    while True:
        told = json.loads(sub.next().text)
        assert told["event"] == "progress", told
        if told["done"] >= least:
            return told


def test_all_who_watch_see_it_grow_and_end(gateway, files):
    name = new_id()
    subs = [watch(gateway, name, transport) for transport in TRANSPORTS]
    http = download(gateway, name)
    got = b""
    while len(got) < SIZE // 2:
        got += http.take(65536, time.monotonic() + 20)
    for sub in subs:
        told = read_to(sub, SIZE // 4)
        assert told["done"] < SIZE and told["total"] == SIZE
    got += http.take(SIZE - len(got), time.monotonic() + 20)
    assert got == (files / "data.bin").read_bytes()
    for sub in subs:
        told, ended = until_end(sub)
        done = [one["done"] for one in told if one["event"] == "progress"]
        assert done == sorted(set(done)) and done[-1] == SIZE
        assert told[-1] == {"event": "end"} and ended.clean
    late = watch(gateway, name, "sse")  # who comes after the end learns it at once
    told, _ = until_end(late)
    assert told == [{"event": "progress", "done": SIZE, "total": SIZE}, {"event": "end"}]
    gateway.wait_metric("downloads_total", 1, result="complete")
    assert gateway.metric("downloads") == 0 and gateway.metric("download_bytes_total") == SIZE
    wait_for(lambda: gateway.metric("download_watchers") == 0, "the watchers' end")


def test_what_is_told_is_what_the_client_has(gateway):
    """Not what waits in the kernel for a client that reads nothing."""
    name = new_id()
    sub = watch(gateway, name)
    http = download(gateway, name)
    told = read_to(sub, 1)
    with pytest.raises(TimeoutError):  # until it stands, far from what was written
        while told["done"] < 1 << 20:
            told = json.loads(sub.next(2).text)
    assert gateway.metric("downloads") == 1 and gateway.metric("download_bytes_total") > told["done"]
    http.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_that_goes_away_is_told_soon_and_a_resume_goes_on(gateway, files, transport):
    name = new_id()
    sub = watch(gateway, name, transport)
    http = download(gateway, name)
    http.take(1 << 20, time.monotonic() + 20)
    read_to(sub, 1 << 19)
    http.close()
    since = time.monotonic()
    told, ended = until_end(sub)
    took = time.monotonic() - since
    assert told[-1]["event"] == "failed" and told[-1]["code"] == "client_gone"
    assert took < 10 and not (ended.clean and ended.code is None)
    assert gateway.metric("downloads_total", result="cut") == 1 and gateway.metric("downloads") == 0
    again = download(gateway, name, Range=f"bytes={1 << 20}-")
    assert again.status == 206
    sub = watch(gateway, name, transport)
    assert again.take(SIZE - (1 << 20), time.monotonic() + 20) == (files / "data.bin").read_bytes()[1 << 20:]
    told, _ = until_end(sub)
    assert min(one["done"] for one in told if one["event"] == "progress") >= 1 << 20
    assert told[-2:] == [{"event": "progress", "done": SIZE, "total": SIZE}, {"event": "end"}]


def test_a_resume_that_is_quicker_than_the_news_of_the_cut_is_the_one_that_counts(gateway):
    name = new_id()
    first = download(gateway, name)
    sub = watch(gateway, name)
    second = download(gateway, name, Range=f"bytes={SIZE - 1000}-")
    second.body()
    first.close()
    told, _ = until_end(sub)
    assert told[-1] == {"event": "end"}


def test_a_connection_that_is_closed_behind_a_slow_client_is_no_failure(gateway):
    """Its last bytes are on their way for longer than a closed connection waits."""
    name = new_id()
    sub = watch(gateway, name)
    http = Http(gateway.port, rcvbuf=16384)
    http.get(f"{PATH}?progress={name}", {"Connection": "close", "Range": "bytes=0-299999"})
    got, until = 0, time.monotonic() + 30
    while part := http.body_part(until):
        got += len(part)
        if got < 300000:
            time.sleep(0.25 if got > 100000 else 0)
    told, ended = until_end(sub)
    assert got == 300000 and told[-1] == {"event": "end"} and ended.clean
    assert told[-2] == {"event": "progress", "done": 300000, "total": 300000}


def test_a_download_that_is_refused_is_told(gateway, files):
    name = new_id()
    sub = watch(gateway, name)
    assert download(gateway, name, Range=f"bytes={SIZE}-").status == 416
    told, _ = until_end(sub)
    assert told == [{"event": "failed", "code": "refused", "message": "the download was answered with 416"}]


def test_watchers_are_bounded_and_nothing_is_left_of_them(gateway):
    subs = [watch(gateway, new_id()) for _ in range(4)]
    http = gateway.get(f"{PATH}/progress?id={new_id()}")
    assert http.status == 503 and http.headers["retry-after"]
    assert gateway.metric("download_watchers") == gateway.metric("downloads_watched") == 4
    assert gateway.metric("request_streams") == 0
    subs.pop().close()
    wait_for(lambda: gateway.metric("download_watchers") == 3, "the watcher's end")
    assert gateway.metric("downloads_watched") == 3
    gateway.terminate()
    for sub in subs:
        told, _ = until_end(sub)
        assert told[-1]["event"] == "closing"
    assert gateway.wait_exit() == 0


def test_ids_are_checked_and_paths_too(gateway):
    for target, status in (
        (PATH + "/progress", 400), (PATH + "/progress?id=short", 400), (PATH + "/progress?id=" + "x" * 65, 400),
        (PATH + "/progress?id=aaaaaaaaaaaaaaaaaaaa%2F", 400), (PATH + f"/progress?id={new_id()}&file=x", 400),
        (PATH + f"/progress?id={new_id()}&id={new_id()}", 400), ("/progress?id=" + new_id(), 404),
        (f"/files/a/data.bin/progress?id={new_id()}", 404), (f"/streams/download?id={new_id()}", 404),
        (PATH + "?progress=short", 400), (PATH + "?id=" + new_id(), 400), (PATH + f"?progress={new_id()}&x=1", 400),
    ):
        http = gateway.get(target)
        assert http.status == status, (target, http.status, http.body())
        assert json.loads(http.body())["status"] == status
    assert "downloads" not in gateway.get("/streams").body().decode()
    assert Http(gateway.port).request("POST", PATH + "/progress?id=" + new_id()).status == 405
    assert Http(gateway.port).request("HEAD", PATH + "/progress?id=" + new_id()).status == 200
    other = watch(gateway, new_id())
    with pytest.raises(TimeoutError):  # another id says nothing
        download(gateway, new_id(), Range="bytes=0-9").body()
        other.next(1)


def test_over_tls_too(gateways, files, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("no openssl")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
         "-keyout", str(key), "-out", str(cert), "-days", "1"], check=True, capture_output=True)
    gateway = gateways(
        {"routes": {"/files/{name}": {"kind": "download", "directory": str(files)}}}, s={"source": {"synthetic": {}}})
    gateway.stop()
    gateway.config["listen"] = {"address": f"127.0.0.1:{gateway.port}", "tls": {"cert": str(cert), "key": str(key)}}
    with open(gateway.path, "w", encoding="utf-8") as file:
        json.dump(gateway.config, file)
    gateway.start()
    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = False
    name = new_id()
    sub = watch(gateway, name, "sse", (gateway.port, context))
    http = Http((gateway.port, context))
    assert len(http.get(f"{PATH}?progress={name}").body()) == SIZE
    told, ended = until_end(sub)
    assert told[-2:] == [{"event": "progress", "done": SIZE, "total": SIZE}, {"event": "end"}] and ended.clean


def test_a_browser_resumes_what_was_cut_and_its_page_watches(gateway, files, node, tmp_path):
    needs("chromium", "chromium")
    name = new_id()
    told = json.loads(node("chromium_download.js", str(gateway.port), "data.bin", str(tmp_path / "got"), name))
    assert (tmp_path / "got").read_bytes() == (files / "data.bin").read_bytes()
    first, second = told["requests"][:2]
    assert "range" not in first
    assert re.fullmatch(r"bytes=[1-9]\d*-", second["range"]) and second["ifRange"].startswith('"')
    watched = told["watched"]
    assert watched[-2:] == [{"event": "progress", "done": SIZE, "total": SIZE}, {"event": "end"}]
