"""Fixtures: a Kafka for the session, gateways for a test. A skip is loud, and a failure where CI is set."""

import os
import shutil
import subprocess

import pytest

import harness
import kafka_broker

SKIPPED = []
LOG_SHOWN = 3000  # characters


def pytest_addoption(parser):
    parser.addoption("--backend", choices=("mock", "kafka", "both"), default="mock")


def pytest_configure(config):
    config.addinivalue_line("markers", "accept: the acceptance runs, in full size with E2E_SCALE=full")
    config.addinivalue_line("markers", "full_only: too slow for every day; with E2E_SCALE=full")
    config.addinivalue_line("markers", "real_only: needs what only a real Kafka does")
    config.addinivalue_line("markers", "plain_only: says nothing of a gateway with a sanitizer in it")
    config.addinivalue_line("markers", "mock_only: says nothing more on a real Kafka")


def pytest_generate_tests(metafunc):
    if "kafka" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("backend")
        kinds = ["mock", "kafka"] if chosen == "both" else [chosen]
        metafunc.parametrize("kafka", kinds, indirect=True, scope="session")


def _not_for(item):
    """True when the test is not for the Kafka, or the gateway, that it would run with."""
    if harness.SANITIZED and item.get_closest_marker("plain_only"):
        return True
    if not harness.SCALE_FULL and item.get_closest_marker("full_only"):
        return True
    callspec = getattr(item, "callspec", None)
    kind = callspec.params.get("kafka") if callspec else None
    if kind is None:
        # Without a Kafka: once, with the mock's.
        return item.config.getoption("backend") == "kafka"
    only = {"mock": "real_only", "kafka": "mock_only"}[kind]
    return item.get_closest_marker(only) is not None


def pytest_collection_modifyitems(config, items):
    """What the chosen Kafka does not run is not there, rather than skipped."""
    config.hook.pytest_deselected(items=[item for item in items if _not_for(item)])
    items[:] = [item for item in items if not _not_for(item)]


def missing(what):
    """Skip loudly; in CI nothing may be missing."""
    SKIPPED.append(what)
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI must run everything")
    pytest.skip(what)


def pytest_terminal_summary(terminalreporter):
    for what in sorted(set(SKIPPED)):
        terminalreporter.write_line(f"SKIPPED {SKIPPED.count(what)} tests: {what}", red=True)


@pytest.fixture(scope="session")
def kafka(request, tmp_path_factory):
    if request.param == "mock":
        backend = harness.MockKafka()
    else:
        why = kafka_broker.available()
        if why:
            missing(why)
        backend = harness.RealKafka(tmp_path_factory.mktemp("kafka"))
    yield backend
    backend.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure says what the gateways logged."""
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        for gateway in getattr(item, "gateways", []):
            report.sections.append(("end of the gateway's log", gateway.log()[-LOG_SHOWN:]))


@pytest.fixture
def gateways(request, tmp_path):
    """A function that starts a gateway; each must have ended well when the test is over."""
    started = request.node.gateways = []

    def start(config=None, ready=True, limits=(), under=(), **streams):
        gateway = harness.Gateway(tmp_path, {**(config or {}), "streams": streams})
        started.append(gateway)
        return gateway.start(ready, limits, under)

    yield start
    for gateway in started:
        gateway.stop()


@pytest.fixture
def subs():
    """A function that starts the tool sub; none outlives the test."""
    started = []

    def start(*args, **kwargs):
        started.append(harness.Subs(*args, **kwargs))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture(scope="session")
def node():
    """A function that runs a script of tests/e2e/node and returns its output."""
    modules = os.path.join(harness.ROOT, "tests", "node_modules")
    if not shutil.which("node"):
        missing("no node: install the packages nodejs and npm")
    if not os.path.isdir(modules):
        missing("no tests/node_modules: make tests/node_modules")

    def run(script, *args, timeout_s=60, **kwargs):
        command = ["node", os.path.join(harness.ROOT, "tests", "e2e", "node", script), *args]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False, **kwargs
        )
        assert done.returncode == 0, f"{script}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout

    return run


def needs(program, package):
    if not shutil.which(program):
        missing(f"no {program}: install the package {package}")
