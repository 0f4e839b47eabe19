"""Free ports of 127.0.0.1 for what tests start, never the same one for two processes of tests.

All lie below the ephemeral range, so that no client's own connection takes one in between, nor while a server is down
for a moment. A process takes whole blocks of them by binding a name in Linux's abstract socket space: it belongs to the
network namespace as ports do, a chroot or not, and is given back when the process ends."""

import random
import socket


class Ports:
    """Blocks of ports in [first, end). Each port of a block is given once before the first is given again."""

    def __init__(self, first, end, block):
        self._blocks = range(first, end, block)
        self._size = block
        self._mine = []
        self._names = []  # sockets whose names keep other processes off

    def free(self):
        for _ in range(2 * self._size):
            if not self._mine:
                self._take_block()
            port = self._mine.pop(0)
            self._mine.append(port)
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    sock.bind(("127.0.0.1", port))
                except OSError:  # of something else on this machine, or still in use
                    continue
                return port
        raise OSError(f"no free port in {self._mine[0]} to {self._mine[-1]}")

    def _take_block(self):
        for first in random.sample(self._blocks, len(self._blocks)):
            name = socket.socket(socket.AF_UNIX)
            try:
                name.bind(f"\0headgate-test-ports-{first}")
            except OSError:
                name.close()
                continue
            self._names.append(name)
            self._mine = list(range(first, first + self._size))
            return
        raise OSError(f"all ports from {self._blocks.start} on are taken by other tests")


# A gateway has two, and lives for a second: none of the last 200 gateways had the same.
GATEWAYS = Ports(12000, 20000, 400)
# Of what keeps its port through many tests, down for some of the time: brokers and databases.
SERVERS = Ports(20000, 32000, 100)
