"""Runs an example's own gateway.yaml on free ports against librdkafka's mock cluster, with the end-to-end harness."""

import os
import shutil
import sys

import pytest
import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "tests", "e2e"), os.path.join(ROOT, "tests", "kafka")]
import harness  # noqa: E402


@pytest.fixture
def kafka():
    mock = harness.MockKafka()
    yield mock
    mock.close()


class Example(harness.Gateway):
    """A gateway whose configuration is a file of the repository; what differs is in its environment."""

    def __init__(self, directory, folder, config, environment):
        super().__init__(directory, {})
        self.path = os.path.join(folder, config)
        with open(self.path, encoding="utf-8") as file:
            self.config = yaml.safe_load(file)
        self.environment = {
            "LISTEN": "127.0.0.1:%d" % self.port, "ADMIN": "127.0.0.1:%d" % self.admin_port, **environment
        }

    def _environment(self):
        return {**super()._environment(), **self.environment}


@pytest.fixture
def example(kafka, tmp_path):
    """A function that starts the example of a folder; it must end well."""
    started = []

    def start(folder, config="gateway.yaml", **environment):
        started.append(Example(tmp_path, folder, config, {"KAFKA_BROKERS": kafka.bootstrap, **environment}))
        return started[-1].start()

    yield start
    for gateway in started:
        gateway.stop()


@pytest.fixture
def node_modules():
    found = os.path.join(ROOT, "tests", "node_modules")
    if not shutil.which("node") or not os.path.isdir(found):
        pytest.skip("needs node and tests/node_modules")
    return found
