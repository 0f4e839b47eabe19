"""zstd as browsers decode it: libzstd's streaming decoder, which shows all that it has."""

import ctypes
import ctypes.util

_LIBRARY = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")


class _Buffer(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t)]


_LIBRARY.ZSTD_createDStream.restype = ctypes.c_void_p
_LIBRARY.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
_LIBRARY.ZSTD_decompressStream.restype = ctypes.c_size_t
_LIBRARY.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
_LIBRARY.ZSTD_isError.argtypes = [ctypes.c_size_t]
ROOM = 1 << 17


class ZstdDecoder:
    """One frame after another (RFC 8878 section 3)."""

    def __init__(self):
        self._stream = _LIBRARY.ZSTD_createDStream()
        self._between = True  # two frames

    def decode(self, part):
        source = ctypes.create_string_buffer(part, len(part))
        given = _Buffer(ctypes.addressof(source), len(part), 0)
        data = b""
        while True:
            room = ctypes.create_string_buffer(ROOM)
            got = _Buffer(ctypes.addressof(room), ROOM, 0)
            left = _LIBRARY.ZSTD_decompressStream(
                self._stream, ctypes.byref(got), ctypes.byref(given)
            )
            assert not _LIBRARY.ZSTD_isError(left), "not zstd"
            self._between = left == 0
            data += room.raw[: got.pos]
            if given.pos == given.size and got.pos < ROOM:
                return data

    def whole(self):
        return self._between

    def __del__(self):
        _LIBRARY.ZSTD_freeDStream(self._stream)
