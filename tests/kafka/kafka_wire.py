"""A few requests of the Kafka protocol, enough to administer the topics of a test broker.

Standard library only, so that the broker tool needs nothing but Java. One connection a request;
the versions used are served by Kafka 2.1 to 4.x. See https://kafka.apache.org/protocol.
"""

import socket
import struct

METADATA, CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, CREATE_PARTITIONS = 3, 19, 20, 21, 37

UNKNOWN_TOPIC = 3


class KafkaError(Exception):
    """The broker's answer holds an error code."""

    def __init__(self, what, code, text=None):
        super().__init__(f"{what}: error {code}" + (f": {text}" if text else ""))
        self.code = code


def _int16(value):
    return struct.pack(">h", value)


def _int32(value):
    return struct.pack(">i", value)


def _string(text):
    raw = text.encode()
    return _int16(len(raw)) + raw


def _array(items):
    return _int32(len(items)) + b"".join(items)


class _Reader:
    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def _take(self, fmt):
        (value,) = struct.unpack_from(fmt, self.raw, self.at)
        self.at += struct.calcsize(fmt)
        return value

    def int8(self):
        return self._take(">b")

    def int16(self):
        return self._take(">h")

    def int32(self):
        return self._take(">i")

    def int64(self):
        return self._take(">q")

    def string(self):
        length = self.int16()
        if length < 0:
            return None
        text = self.raw[self.at : self.at + length].decode()
        self.at += length
        return text

    def array(self, item):
        return [item() for _ in range(max(0, self.int32()))]


def _receive(sock, count):
    raw = b""
    while len(raw) < count:
        part = sock.recv(count - len(raw))
        if not part:
            raise ConnectionError("the broker closed the connection")
        raw += part
    return raw


def _request(port, api, version, body, timeout_s):
    head = _int16(api) + _int16(version) + _int32(1) + _string("headgate-tests")
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as sock:
        sock.settimeout(timeout_s)
        sock.sendall(_int32(len(head) + len(body)) + head + body)
        (length,) = struct.unpack(">i", _receive(sock, 4))
        answer = _Reader(_receive(sock, length))
    answer.int32()
    return answer


def metadata(port, timeout_s=5):
    """{"brokers": [ids], "topics": {name: {partition: leader}}}; a leader of -1 is none."""
    answer = _request(port, METADATA, 1, _int32(-1), timeout_s)

    def broker():
        node = answer.int32()
        answer.string()
        answer.int32()
        answer.string()
        return node

    def partition():
        answer.int16()
        number, leader = answer.int32(), answer.int32()
        answer.array(answer.int32)
        answer.array(answer.int32)
        return number, leader

    def topic():
        answer.int16()
        name = answer.string()
        answer.int8()
        return name, dict(answer.array(partition))

    brokers = answer.array(broker)
    answer.int32()
    return {"brokers": brokers, "topics": dict(answer.array(topic))}


def create_topic(port, name, partitions=1, config=None, timeout_s=15):
    settings = [_string(key) + _string(str(value)) for key, value in (config or {}).items()]
    topic = _string(name) + _int32(partitions) + _int16(1) + _array([]) + _array(settings)
    body = _array([topic]) + _int32(int(timeout_s * 1000)) + b"\0"
    answer = _request(port, CREATE_TOPICS, 2, body, timeout_s + 5)
    answer.int32()
    answer.int32()
    answer.string()
    code, text = answer.int16(), answer.string()
    if code:
        raise KafkaError(f"create topic {name}", code, text)


def delete_topic(port, name, timeout_s=15):
    body = _array([_string(name)]) + _int32(int(timeout_s * 1000))
    answer = _request(port, DELETE_TOPICS, 1, body, timeout_s + 5)
    answer.int32()
    answer.int32()
    answer.string()
    code = answer.int16()
    if code:
        raise KafkaError(f"delete topic {name}", code)


def add_partitions(port, name, total, timeout_s=15):
    """Grow the topic to a total of so many partitions."""
    topic = _string(name) + _int32(total) + _int32(-1)
    body = _array([topic]) + _int32(int(timeout_s * 1000)) + b"\0"
    answer = _request(port, CREATE_PARTITIONS, 0, body, timeout_s + 5)
    answer.int32()
    answer.int32()
    answer.string()
    code, text = answer.int16(), answer.string()
    if code:
        raise KafkaError(f"add partitions to {name}", code, text)


def delete_records(port, name, partition, before_offset, timeout_s=15):
    """Drop the records below an offset (-1: all); returns the partition's new first offset."""
    target = _int32(partition) + struct.pack(">q", before_offset)
    body = _array([_string(name) + _array([target])]) + _int32(int(timeout_s * 1000))
    answer = _request(port, DELETE_RECORDS, 0, body, timeout_s + 5)
    answer.int32()
    answer.int32()
    answer.string()
    answer.int32()
    answer.int32()
    low, code = answer.int64(), answer.int16()
    if code:
        raise KafkaError(f"delete records of {name}[{partition}]", code)
    return low
