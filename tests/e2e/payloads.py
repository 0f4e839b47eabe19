"""What clients that mean harm send: for test_hostile.py and test_guards.py."""

import struct

from wire import ws_frame

# name: the bytes, the close code
FRAMES = {
    "unmasked": (ws_frame(1, b"hi", masked=False), 1002),
    "reserved bit": (ws_frame(1, b"hi", rsv=4), 1002),
    "reserved opcode": (ws_frame(3, b"hi"), 1002),
    "reserved control opcode": (ws_frame(11, b""), 1002),
    "continuation of nothing": (ws_frame(0, b"hi"), 1002),
    "a fragmented ping": (ws_frame(9, b"hi", fin=False), 1002),
    "a long ping": (ws_frame(9, b"x" * 126), 1002),
    "a close of one byte": (ws_frame(8, b"\x03"), 1002),
    "a bad close code": (ws_frame(8, struct.pack(">H", 1005)), 1002),
    "text in a text": (ws_frame(1, b"a", fin=False) + ws_frame(1, b"b"), 1002),
    "invalid UTF-8": (ws_frame(1, b"\xff\xfe"), 1007),
    "invalid UTF-8 of a close": (ws_frame(8, b"\x03\xe8\xff"), 1007),
    "a terabyte": (b"\x81\xff" + struct.pack(">Q", 1 << 40) + b"\0\0\0\0", 1009),
    "a length with its top bit": (b"\x81\xff" + b"\xff" * 8 + b"\0\0\0\0", (1002, 1009)),
}

SMUGGLED = "GET /streams/s?from=earliest&limit=1&envelope=data HTTP/1.1\r\nHost: a\r\n\r\n"
GET = "GET /streams HTTP/1.1\r\n"
BAD_REQUESTS = {
    "no Host": GET + "\r\n",
    "two Hosts": GET + "Host: a\r\nHost: b\r\n\r\n",
    "a Host with a slash": GET + "Host: a/b\r\n\r\n",
    "a Host list": GET + "Host: a, b\r\n\r\n",
    "bare LF everywhere": "GET /streams HTTP/1.1\nHost: a\n\n",
    "bare LF in a header": GET + "Host: a\nX: y\r\n\r\n",
    "bare CR in a value": GET + "Host: a\r\nX: y\rz\r\n\r\n",
    "NUL in a value": GET + "Host: a\r\nX: y\0z\r\n\r\n",
    "space before the colon": GET + "Host : a\r\n\r\n",
    "space before a name": GET + " Host: a\r\n\r\n",
    "obs-fold": GET + "Host: a\r\nX: y\r\n z\r\n\r\n",
    "no name": GET + "Host: a\r\n: y\r\n\r\n",
    "no colon": GET + "Host: a\r\nnothing\r\n\r\n",
    "a name with a space": GET + "Host: a\r\nA B: y\r\n\r\n",
    "CL and TE": "POST /streams HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": "POST /streams HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    "two CLs": "POST /streams HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "a CL list": "POST /streams HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\n",
    "a negative CL": "POST /streams HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "a signed CL": "POST /streams HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
    "a hex CL": "POST /streams HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n",
    "a huge CL": "POST /streams HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "an empty CL": "POST /streams HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
    "TE on 1.0": "POST /streams HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE identity": "POST /streams HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
    "TE gzip": "POST /streams HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE twice": "POST /streams HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "TE with a tab": "POST /streams HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "HTTP/2.0": "GET /streams HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/1.2x": "GET /streams HTTP/1.2x\r\nHost: a\r\n\r\n",
    "http in small letters": "GET /streams http/1.1\r\nHost: a\r\n\r\n",
    "no version": "GET /streams\r\nHost: a\r\n\r\n",
    "two spaces": "GET  /streams HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab": "GET\t/streams HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the target": "GET /stre ams HTTP/1.1\r\nHost: a\r\n\r\n",
    "no slash": "GET streams HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment": "GET /streams#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a control byte in the target": "GET /streams\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "garbage": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}
