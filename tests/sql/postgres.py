"""A PostgreSQL of the tests' own: Debian's package, a fresh data directory, a free port, no root.

initdb refuses root, so there the server runs as the package's user (postgres) or as nobody."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "ports"))
import ports  # noqa: E402


def _binaries():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    path = os.path.dirname(found[-1]) if found else None
    if path is None and shutil.which("initdb"):
        path = os.path.dirname(shutil.which("initdb"))
    return path


def available():
    """None, or why there is none."""
    return None if _binaries() else "no PostgreSQL: install the package postgresql"


class Postgres:
    """.dsn is for libpq. sql() runs statements as the superuser."""

    def __init__(self, **settings):
        self.bin = _binaries()
        self.port = ports.SERVERS.free()
        self.directory = tempfile.mkdtemp(prefix="headgate-pg-")
        self.data = os.path.join(self.directory, "data")
        self.user = None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self.user = "postgres" if "postgres" in names else "nobody"
            os.chown(self.directory, pwd.getpwnam(self.user).pw_uid, pwd.getpwnam(self.user).pw_gid)
        self._run("initdb", "-D", self.data, "-U", "headgate", "-A", "trust", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync")
        self.settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.directory,
            "fsync": "off", "max_connections": 50, "log_min_messages": "warning", **settings,
        }
        self.dsn = f"postgresql://headgate:sesame@127.0.0.1:{self.port}/postgres"
        self.process = None
        self.start()

    def _as_user(self, command):
        if self.user is None:
            return command
        entry = pwd.getpwnam(self.user)
        return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", *command]

    def _run(self, program, *arguments):
        done = subprocess.run(
            self._as_user([os.path.join(self.bin, program), *arguments]), cwd=self.directory,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}"
        return done.stdout

    def start(self):
        options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = subprocess.Popen(
                self._as_user([os.path.join(self.bin, "postgres"), "-D", self.data, *options]),
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        deadline = time.monotonic() + 60
        while subprocess.run([os.path.join(self.bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                             check=False).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def stop(self, how=signal.SIGINT):
        """SIGINT: fast, its clients are thrown out; SIGQUIT: at once, with a recovery at the next start."""
        self.process.send_signal(how)
        self.process.wait(60)

    def close(self):
        if self.process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self):
        with open(os.path.join(self.directory, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def sql(self, text):
        """Its rows as lists of texts."""
        done = subprocess.run(
            [os.path.join(self.bin, "psql"), "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1",
             "-d", self.dsn, "-f", "-"],
            input=text, capture_output=True, text=True, timeout=300, check=False,
        )
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines() if line]

    def activity(self):
        """(state, query, has a transaction) of the gateway's connections."""
        return self.sql("select state, xact_start is not null, translate(query, E'\\n\\t', '  ') from pg_stat_activity"
                        " where application_name = 'headgate'")
