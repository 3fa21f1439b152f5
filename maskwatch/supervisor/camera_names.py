"""Answers a worker's DNS queries for the name of its own camera, and no other.

The worker has no way to a name server, over which it could send out what it sees. Its resolver gets a
datagram socket whose other end is read here; the names are resolved in a thread of this process.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable, Collection

_HEADER = struct.Struct(">6H")
_MAX_QUERY = 512
_ANSWER, _NO_SUCH_NAME = 0x8180, 0x8183
_A, _AAAA = 1, 28
_TTL_S = 5
_MAX_THREADS = 16
_slots = threading.BoundedSemaphore(_MAX_THREADS)

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class CameraNames:
    """The names of a camera, and every address that they have had.

    Attributes:
        addresses: of each name in lower case.
    """

    def __init__(self, hosts: Collection[str], loop: asyncio.AbstractEventLoop) -> None:
        self.addresses: dict[str, set[IpAddress]] = {host.lower(): set() for host in hosts}
        self._loop = loop
        self._waiting: dict[str, list[Callable[[], object]]] = {}
        self._current: dict[str, list[IpAddress]] = {}

    def resolve(self, host: str, done: Callable[[], object]) -> None:
        """Resolve a name, then call `done` on the loop."""
        waiting = self._waiting.setdefault(host, [])
        waiting.append(done)
        if len(waiting) == 1:
            threading.Thread(target=self._resolve, args=(host,), daemon=True).start()

    def _resolve(self, host: str) -> None:
        found: list[IpAddress] = []
        with _slots:
            try:
                rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                found = [ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in rows]
            except (OSError, UnicodeError, ValueError):
                pass  # without an address there is no answer
        self._loop.call_soon_threadsafe(self._resolved, host, found)

    def _resolved(self, host: str, found: list[IpAddress]) -> None:
        self._current[host] = found
        self.addresses[host].update(found)
        for done in self._waiting.pop(host, []):
            done()

    def answer_query(self, query: bytes, send: Callable[[bytes], object]) -> None:
        """Send the answer to a query, later; nothing if it is not well-formed."""
        if not _HEADER.size < len(query) <= _MAX_QUERY:
            return
        id_, _, questions, _, _, _ = _HEADER.unpack_from(query)
        end = query.find(b"\0", _HEADER.size) + 5
        question = query[_HEADER.size : end]
        if questions != 1 or len(question) < 6:
            return
        kind, _ = struct.unpack(">2H", question[-4:])
        host = next((h for h in self.addresses if _encoded(h) == question[:-4].lower()), None)
        if host is None:
            send(_HEADER.pack(id_, _NO_SUCH_NAME, 1, 0, 0, 0) + question)
            return
        self.resolve(host, lambda: send(self._answer(id_, question, kind, host)))

    def _answer(self, id_: int, question: bytes, kind: int, host: str) -> bytes:
        found = self._current.get(host, [])
        version = {_A: 4, _AAAA: 6}.get(kind)
        packed = list(dict.fromkeys(each.packed for each in found if each.version == version))
        rows = [struct.pack(">HHHIH", 0xC00C, kind, 1, _TTL_S, len(each)) + each for each in packed]
        status = _ANSWER if found else _NO_SUCH_NAME
        return _HEADER.pack(id_, status, 1, len(rows), 0, 0) + question + b"".join(rows)


def _encoded(host: str) -> bytes:
    labels = host.rstrip(".").encode("idna").split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
