"""The servers that are compared, and the load generator: each a process that is started, found ready and stopped."""
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))


class BenchFailed(Exception):
    pass


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for_port(port, process, timeout_s=15):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchFailed(f"{process.args[0]} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise BenchFailed(f"{process.args[0]} does not listen on port {port}")


class Server:
    """A context manager: inside of it the server runs. `pids` are what the load generator watches."""

    name = ""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="headgate-bench-")
        self.processes = []
        self.log = open(os.path.join(self.dir, "log"), "w+", encoding="utf-8")

    def spawn(self, *command):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.processes.append(process)
        return process

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.log.seek(0)
            print(self.log.read()[-2000:])
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        raise NotImplementedError

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Bare(Server):
    """With the send buffer that suits it best: of 64 KiB, 256 KiB, 1 MiB and the kernel's own choice."""

    name = "bare"

    def __init__(self, build, size, batch=1, rate=0):
        super().__init__()
        self.command = [os.path.join(build, "bench", "bare"), "--size", str(size), "--batch", str(batch),
                        "--rate", str(rate), "--sndbuf", "262144"]

    def start(self):
        port = free_port()
        process = self.spawn(*self.command, "--port", str(port))
        wait_for_port(port, process)
        self.url = f"ws://127.0.0.1:{port}/"
        self.pids = {"server": process.pid}


CONFIG = """\
listen: 127.0.0.1:{port}
admin: 127.0.0.1:{admin}
drain: {{grace: 0s, timeout: 2s}}
limits: {{connections: 11000}}
streams:
  bench:
    source: {source}
    slow: {slow}
"""


class Headgate(Server):
    name = "headgate"

    def __init__(self, build, source, slow="{policy: drop_oldest}", query="", extra=""):
        super().__init__()
        self.binary = os.path.join(build, "headgate")
        self.port, self.admin = free_port(), free_port()
        self.config = CONFIG.format(port=self.port, admin=self.admin, source=source, slow=slow) + extra
        self.url = f"ws://127.0.0.1:{self.port}/streams/bench{query}"

    def start(self):
        path = os.path.join(self.dir, "gateway.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.config)
        process = self.spawn(self.binary, "run", "-c", path)
        wait_for_port(self.port, process)
        self.pids = {"server": process.pid}

    def metrics(self):
        """The sum of each metric over its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        sums = {}
        for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? ([0-9.e+-]+)", text, re.M):
            sums[name] = sums.get(name, 0) + float(value)
        return sums


class Nchan(Server):
    name = "nchan"

    @staticmethod
    def available():
        nginx = shutil.which("nginx") or os.path.exists("/usr/sbin/nginx")
        modules = os.environ.get("NGINX_MODULES", "/usr/lib/nginx/modules")
        return bool(nginx) and os.path.exists(os.path.join(modules, "ngx_nchan_module.so"))

    def __init__(self, size, rate=0, publish=True):
        super().__init__()
        self.size, self.rate, self.publish = size, rate, publish

    def start(self):
        port = free_port()
        # The worker runs as another user when we are root: its directories must be open to it.
        os.chmod(self.dir, 0o755)
        master = self.spawn(os.path.join(HERE, "nchan.sh"), self.dir, str(port))
        wait_for_port(port, master)
        self.url = f"ws://127.0.0.1:{port}/subscribe"
        with open(f"/proc/{master.pid}/task/{master.pid}/children", encoding="ascii") as file:
            self.pids = {"server": int(file.read().split()[0])}
        if self.publish:
            publisher = self.spawn("python3", os.path.join(HERE, "nchan_publish.py"), str(port), str(self.size),
                                   str(self.rate))
            self.pids["publisher"] = publisher.pid


class Loadgen:
    """The load generator against a server, from when its connections are open on."""

    def __init__(self, build, server, bench, urls=None, **options):
        self.server, self.bench = server, bench
        command = [os.path.join(build, "bench", "loadgen"), "--bench", bench]
        for url in urls or [options.pop("url", server.url)]:
            command += ["--url", url]
        for name, pid in server.pids.items():
            command += ["--pid", f"{name}={pid}"]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.opened = self.process.stderr.readline()

    def end(self):
        """End the window now."""
        self.process.send_signal(signal.SIGTERM)
        return self.result()

    def result(self):
        """Its JSON, completed by the server's name and cost."""
        try:
            out, said = self.process.communicate(timeout=600)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        result = json.loads(out or "{}")
        if self.process.returncode != 0 or "error" in result:
            raise BenchFailed(f"{self.bench}, {self.server.name}: {result.get('error', self.opened + said)}")
        return complete(result, self.server.name)


def loadgen(build, server, bench, **options):
    """Run the load generator against a server to its end."""
    return Loadgen(build, server, bench, **options).result()


def complete(result, server_name):
    """Add what a core was used for: its share by process, and the server's CPU time for one delivery."""
    result = {"bench": result.pop("bench"), "server": server_name, **result}
    used = {name: cpu["user_s"] + cpu["system_s"] for name, cpu in result["cpu"].items()}
    result["cores"] = {name: round(cpu_s / result["seconds"], 2) for name, cpu_s in used.items()}
    if result["deliveries"]:
        result["server_ns_per_delivery"] = round(used["server"] * 1e9 / result["deliveries"])
    return result
