"""Files of a directory as they are: whole, in ranges, resumed by curl and wget; nothing outside of it."""

import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from conftest import needs
from harness import wait_for
from wire import Http

SIZE = 3_000_000


@pytest.fixture
def files(tmp_path):
    directory = tmp_path / "files"
    directory.mkdir()
    (directory / "data.bin").write_bytes(random.randbytes(SIZE))
    (directory / "empty.csv").write_bytes(b"")
    (directory / "a \"é\".json").write_text("{}")
    (directory / ".hidden").write_text("x")
    (directory / "sub").mkdir()
    (directory / "sub" / "inner").write_text("x")
    (tmp_path / "secret").write_text("secret")
    return directory


@pytest.fixture
def gateway(gateways, files):
    return gateways(
        {"routes": {"/files/{name}": {"kind": "download", "directory": str(files)}},
         "timeouts": {"write": "1s"}},
        s={"source": {"synthetic": {}}},
    )


def get(gateway, name, method="GET", **headers):
    headers = {key.replace("_", "-"): value for key, value in headers.items()}
    return Http(gateway.port).request(method, f"/files/{name}", {"Connection": "close", **headers})


def test_a_file_comes_as_it_is_with_what_describes_it(gateway, files):
    http = get(gateway, "data.bin")
    assert http.status == 200
    assert http.headers["content-length"] == str(SIZE)
    assert http.headers["content-type"] == "application/octet-stream"
    assert http.headers["content-disposition"].startswith('attachment; filename="data.bin"')
    assert http.headers["accept-ranges"] == "bytes" and http.headers["last-modified"].endswith("GMT")
    assert http.body() == (files / "data.bin").read_bytes()
    http = get(gateway, "empty.csv")
    assert http.status == 200 and http.headers["content-length"] == "0" and http.body() == b""
    assert http.headers["content-type"].startswith("text/csv")
    http = get(gateway, "a%20%22%C3%A9%22.json")
    assert http.body() == b"{}"
    assert "filename*=UTF-8''a%20%22%C3%A9%22.json" in http.headers["content-disposition"]


def test_head_and_keep_alive(gateway, files):
    http = Http(gateway.port)
    for _ in range(2):
        http.request("HEAD", "/files/data.bin", {})
        assert http.status == 200 and http.headers["content-length"] == str(SIZE)
    http.get("/files/data.bin", {"Range": "bytes=5-14"})
    assert http.status == 206 and http.body() == (files / "data.bin").read_bytes()[5:15]
    http.get("/files/empty.csv")
    assert http.status == 200 and http.body() == b""
    http.close()
    wait_for(lambda: not open_files(gateway, files), "the files to be closed")


def open_files(gateway, files):
    links = []
    for fd in os.listdir(f"/proc/{gateway.pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{gateway.pid}/fd/{fd}"))
        except OSError:
            pass
    return [link for link in links if link.startswith(str(files))]


def test_ranges_and_conditions(gateway, files):
    whole = (files / "data.bin").read_bytes()
    etag = get(gateway, "data.bin", "HEAD").headers["etag"]
    http = get(gateway, "data.bin", Range="bytes=-7", If_Range=etag)
    assert http.status == 206 and http.headers["content-range"] == f"bytes {SIZE - 7}-{SIZE - 1}/{SIZE}"
    assert http.body() == whole[-7:]
    http = get(gateway, "data.bin", Range=f"bytes={SIZE}-")
    assert http.status == 416 and http.headers["content-range"] == f"bytes */{SIZE}"
    http = get(gateway, "data.bin", If_None_Match=etag)
    assert http.status == 304 and "content-length" not in http.headers and http.headers["etag"] == etag
    assert get(gateway, "data.bin", If_Match='"other"').status == 412
    (files / "data.bin").write_bytes(b"new")
    http = get(gateway, "data.bin", Range="bytes=100-", If_Range=etag)
    assert http.status == 200 and http.body() == b"new"


TRAVERSALS = """.. . ... ../secret ..%2fsecret %2e%2e/secret %2e%2e%2fsecret ..%5csecret ..%252fsecret
/etc/passwd %2fetc%2fpasswd //etc/passwd ..;/secret sub sub/ sub/inner sub%2finner .hidden %2ehidden ./data.bin
data.bin/ data.bin/. data.bin%00 data.bin%00.csv link-out link-chain link-absolute link-dir%2fsecret fifo socket
%c0%ae%c0%ae/secret ..%c0%afsecret device proc""".split()


def test_nothing_else_is_served(gateway, files, tmp_path):
    (files / "link-out").symlink_to("../secret")
    (files / "link-chain").symlink_to("link-out")
    (files / "link-absolute").symlink_to(tmp_path / "secret")
    (files / "link-dir").symlink_to("..")
    (files / "proc").symlink_to("/proc/self/environ")
    (files / "device").symlink_to("/dev/zero")
    os.mkfifo(files / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    os.chdir(files)
    listener.bind("socket")
    os.chdir("/")
    assert len(TRAVERSALS) >= 30
    for name in TRAVERSALS:
        http = get(gateway, name)
        assert http.status in (400, 403, 404), (name, http.status)
        assert b"secret" not in http.body()
    listener.close()
    (files / "link-in").symlink_to("data.bin")
    assert get(gateway, "link-in", "HEAD").status == 200
    assert not open_files(gateway, files)


def test_curl_and_wget_resume(gateway, files, tmp_path):
    whole = (files / "data.bin").read_bytes()
    url = f"http://127.0.0.1:{gateway.port}/files/data.bin"
    part = tmp_path / "curl.bin"
    part.write_bytes(whole[:1_234_567])
    subprocess.run(["curl", "-sSf", "-C", "-", "-o", str(part), url], check=True, timeout=30)
    assert part.read_bytes() == whole
    needs("wget", "wget")
    part = tmp_path / "wget.bin"
    part.write_bytes(whole[:2_000_000])
    subprocess.run(["wget", "-q", "-c", "-O", str(part), url], check=True, timeout=30)
    assert part.read_bytes() == whole


def test_a_client_that_takes_nothing_is_cut_and_costs_nothing(gateway, files):
    (files / "large").write_bytes(bytes(64 << 20))
    before = gateway.rss_bytes()
    http = Http(gateway.port, rcvbuf=4096)
    http.send(b"GET /files/large HTTP/1.1\r\nHost: h\r\n\r\n")
    wait_for(lambda: open_files(gateway, files), "the download to begin")
    if "asan" not in os.environ.get("HEADGATE", "") and "tsan" not in os.environ.get("HEADGATE", ""):
        assert gateway.cpu_share(0.5) < 0.2
        assert gateway.rss_bytes() - before < 8 << 20
    wait_for(lambda: not open_files(gateway, files), "the write time-out", 10)
    http.close()


def test_a_slow_but_steady_client_gets_all(gateway, files):
    http = Http(gateway.port, rcvbuf=65536)
    http.send(b"GET /files/data.bin HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    start = time.monotonic()
    got = b""
    while True:
        part = http.sock.recv(100_000)
        if not part:
            break
        got += part
        time.sleep(0.05)
    assert got.endswith((files / "data.bin").read_bytes()[-1000:]) and len(got) > SIZE
    assert time.monotonic() - start > 1


def test_a_file_that_shrinks_is_cut_short(gateway, files):
    (files / "large").write_bytes(bytes(32 << 20))
    http = Http(gateway.port, rcvbuf=4096)
    http.send(b"GET /files/large HTTP/1.1\r\nHost: h\r\n\r\n")
    wait_for(lambda: open_files(gateway, files), "the download to begin")
    os.truncate(files / "large", 1 << 20)
    got = 0
    try:
        while part := http.sock.recv(65536):
            got += len(part)
    except ConnectionResetError:
        pass
    assert got < 32 << 20
    http.close()


def test_over_tls_too(gateways, files, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("no openssl")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
         "-keyout", str(key), "-out", str(cert), "-days", "1"], check=True, capture_output=True,
    )
    gateway = gateways(
        {"routes": {"/files/{name}": {"kind": "download", "directory": str(files)}}},
        s={"source": {"synthetic": {}}},
    )
    gateway.stop()
    gateway.config["listen"] = {"address": f"127.0.0.1:{gateway.port}", "tls": {"cert": str(cert), "key": str(key)}}
    with open(gateway.path, "w", encoding="utf-8") as file:
        json.dump(gateway.config, file)
    gateway.start()
    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", gateway.port)) as raw, context.wrap_socket(raw) as sock:
        sock.sendall(b"GET /files/data.bin HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        got = b""
        while part := sock.recv(65536):
            got += part
            if len(got) < 300_000:
                time.sleep(0.01)
    assert got.split(b"\r\n\r\n", 1)[1] == (files / "data.bin").read_bytes()
