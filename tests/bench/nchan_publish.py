#!/usr/bin/env python3
"""Publish records to Nchan over one keep-alive connection: nchan_publish.py PORT SIZE RATE.

RATE is records a second; 0 is as fast as Nchan answers, with two requests under way so that it never waits for us. A
request is answered when its message went to the subscribers. Runs until SIGTERM.
"""
import signal
import socket
import sys
import time


def record(size, seq):
    head = b'{"seq":%d,"sent_ns":%d,"pad":"' % (seq, time.clock_gettime_ns(time.CLOCK_MONOTONIC))
    return head + b"x" * (size - len(head) - 2) + b'"}'


class Publisher:
    def __init__(self, port, size):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb")
        self.size = size
        self.seq = 0
        self.under_way = 0

    def send(self):
        self.seq += 1
        body = record(self.size, self.seq)
        self.socket.sendall(b"POST /publish HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                            b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.under_way += 1

    def take_answer(self):
        status = self.answers.readline()
        if b" 20" not in status:
            raise SystemExit(f"nchan_publish: {status!r}")
        length = 0
        while (line := self.answers.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.answers.read(length)
        self.under_way -= 1


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port, size, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    publisher = Publisher(port, size)
    begin = time.monotonic()
    while True:
        publisher.send()
        if rate > 0:
            time.sleep(max(0.0, begin + publisher.seq / rate - time.monotonic()))
        while publisher.under_way > (0 if rate > 0 else 1):
            publisher.take_answer()


if __name__ == "__main__":
    main()
