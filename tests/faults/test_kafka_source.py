"""The Kafka source alone (build/faults/kafka_probe) through faults that the mock cluster cannot play:
a real Apache Kafka deletes and makes topics again, drops records, gets partitions, is restarted."""

import json
import os
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "kafka"))
import kafka_broker  # noqa: E402

PROBE = os.environ.get("KAFKA_PROBE", os.path.join(ROOT, "build", "faults", "kafka_probe"))


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = kafka_broker.KafkaBroker(str(tmp_path_factory.mktemp("kafka")))
    broker.start()
    yield broker
    broker.stop()


def produce(broker, topic, count, partition=0):
    lines = "".join(f'{{"n":{n}}}\n' for n in range(count))
    command = ["kcat", "-P", "-b", broker.bootstrap, "-t", topic, "-p", str(partition)]
    subprocess.run(command, input=lines, text=True, check=True, timeout=60)


class Probe:
    """A source that runs until it has staged count records, or for the seconds given."""

    def __init__(self, broker, topic, start, count, *options, seconds=240):
        command = [PROBE, broker.bootstrap, topic, start, str(count), str(seconds), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.log = ""

    def wait_log(self, text, times=1):
        """The source has said this in its log, so many times."""
        while self.log.count(text) < times:
            line = self.process.stderr.readline()
            assert line, f"it ended before it said {text!r}: {self.log}"
            self.log += line

    def result(self):
        out, _ = self.process.communicate(timeout=300)
        result = json.loads(out)
        assert not result["disorder"]
        return result


def test_a_topic_deleted_and_made_again_is_read_from_its_beginning(broker):
    broker.create_topic("reborn", 2)
    produce(broker, "reborn", 50, 0)
    produce(broker, "reborn", 50, 1)
    probe = Probe(broker, "reborn", "earliest", 130)
    probe.wait_log("topic reborn: 2 partitions")
    time.sleep(1)
    broker.delete_topic("reborn")
    probe.wait_log("topic reborn is gone")
    broker.create_topic("reborn", 2)
    produce(broker, "reborn", 30, 1)
    result = probe.result()
    assert result["records"] == 130
    assert [(lane["next"], lane["resets"]) for lane in result["lanes"]] == [(0, 1), (30, 1)]
    assert (result["ups"], result["downs"]) == (2, 1)


def test_a_topic_made_again_between_two_looks_is_noticed_by_its_end(broker):
    broker.create_topic("quick", 1)
    produce(broker, "quick", 500)
    probe = Probe(broker, "quick", "latest", 20)
    probe.wait_log("topic quick: 1 partitions")
    time.sleep(1)
    broker.delete_topic("quick")
    broker.create_topic("quick", 1)
    produce(broker, "quick", 20)
    result = probe.result()
    assert result["lanes"][0]["next"] == 20
    assert result["lanes"][0]["resets"] == 1


def test_deleted_records_and_delivered_ones_add_up(broker):
    broker.create_topic("short", 1)
    produce(broker, "short", 100000)
    options = ["hold=4", "prefetch=1048576", "queued.min.messages=1000"]
    probe = Probe(broker, "short", "earliest", 0, *options, seconds=8)
    probe.wait_log("topic short: 1 partitions")
    time.sleep(2)
    broker.delete_records("short", 0, 90000)
    result = probe.result()
    lane = result["lanes"][0]
    assert lane["lost"] > 0
    assert result["records"] + lane["lost"] == 100000
    assert lane["next"] == 100000


def test_a_partition_added_while_running_is_read_from_its_first_record(broker):
    broker.create_topic("grow", 1)
    produce(broker, "grow", 10)
    probe = Probe(broker, "grow", "latest", 40)
    probe.wait_log("topic grow: 1 partitions")
    broker.add_partitions("grow", 3)
    produce(broker, "grow", 40, 2)
    result = probe.result()
    assert [lane["start"] for lane in result["lanes"]] == [10, 0, 0]
    assert result["lanes"][2]["next"] == 40


def test_a_broker_that_is_stopped_and_killed_loses_nothing(broker):
    broker.create_topic("restart", 3)
    probe = Probe(broker, "restart", "latest", 900)
    for ups, stop in enumerate((broker.stop, broker.kill), 1):
        probe.wait_log("source is up", ups)
        for partition in range(3):
            produce(broker, "restart", 100, partition)
        stop()
        time.sleep(3)
        broker.start()
    probe.wait_log("source is up", 3)
    for partition in range(3):
        produce(broker, "restart", 100, partition)
    result = probe.result()
    assert result["records"] == 900
    assert [lane["next"] for lane in result["lanes"]] == [300, 300, 300]
    assert (result["ups"], result["downs"]) == (3, 2)


def test_a_start_time_is_looked_up(broker):
    broker.create_topic("timed", 1)
    produce(broker, "timed", 10)
    time.sleep(1.1)
    begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    time.sleep(1.1)
    produce(broker, "timed", 5)
    result = Probe(broker, "timed", begun, 5).result()
    assert result["records"] == 5
    assert result["lanes"][0]["start"] == 10
