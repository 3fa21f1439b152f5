"""Peers of a socket that break every rule of the protocol before they greet.

A peer is a function of a socket's path; it yields the connections that it keeps open.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.fakes.hostile_json import HOSTILE_JSON, hostile_json

Peer = Callable[[Path], list[socket.socket]]
_GIGABYTES = b"\xff\xff\xff\xff"


def frame(data: bytes) -> bytes:
    """Return the frame of any bytes instead of JSON."""
    return len(data).to_bytes(4, "big") + bytes(4) + data


def _connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(str(path))  # waits while the queue of the socket is full
    except OSError:
        sock.close()
        raise
    sock.settimeout(5)
    return sock


def _sends(data: bytes, path: Path) -> list[socket.socket]:
    sock = _connect(path)
    with suppress(OSError):  # the other side has closed the connection
        sock.sendall(data)
    return [sock]


def _sends_and_ends(data: bytes, path: Path) -> list[socket.socket]:
    for sock in _sends(data, path):
        sock.close()
    return []


def _writes_no_more(path: Path) -> list[socket.socket]:
    sock = _connect(path)
    sock.shutdown(socket.SHUT_WR)
    return [sock]


def _floods(data: bytes, path: Path) -> list[socket.socket]:
    return _sends(data * 2000, path)


def _connects(count: int, path: Path) -> list[socket.socket]:
    socks: list[socket.socket] = []
    with suppress(OSError):
        socks.extend(_connect(path) for _ in range(count))
    return socks


def _comes_and_goes(path: Path) -> list[socket.socket]:
    for _ in range(100):
        _connect(path).close()
    return []


JSON_PEERS: dict[str, Peer] = {
    f"{kind} as {name}": partial(_sends, form(hostile_json(kind, name)))
    for kind in HOSTILE_JSON
    for name, form in (("worker_hello", frame), ("command", lambda data: data + b"\n"))
}
PEERS: dict[str, Peer] = {
    **JSON_PEERS,
    "message of 4 GiB": partial(_sends, _GIGABYTES + bytes(4) + b"{"),
    "blob of 4 GiB": partial(_sends, b"\x00\x00\x00\x02" + _GIGABYTES + b"{}"),
    "part of a header": partial(_sends, b"\x00\x00\x00"),
    "part of a message": partial(_sends, b"\x00\x00\xff\x00\x00\x00\x00\x00{"),
    "part of a line": partial(_sends, b'{"type":"stat'),
    "empty messages": partial(_floods, bytes(8)),
    "lines without end": partial(_sends, b"x" * 1_000_000),
    "empty lines": partial(_floods, b"\n"),
    "random bytes": partial(_sends, random.Random(1).randbytes(100_000)),
    "a request of HTTP": partial(_sends, b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n"),
    "nested JSON, then its end": partial(_sends_and_ends, frame(b'{"x":' + b"[" * 30_000)),
    "silence": partial(_connects, 1),
    "the end of writing": _writes_no_more,
    "many connections": partial(_connects, 100),
    "connections that end": _comes_and_goes,
}


@contextmanager
def connected(peer: Peer, path: Path) -> Iterator[list[socket.socket]]:
    """Run a peer; its connections are closed at the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(sock) for sock in peer(path)]
