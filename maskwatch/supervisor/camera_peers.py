"""The addresses that a worker may connect to: its camera's, by number and by name.

The worker has no way to a name server, over which it could send out what it sees. Its resolver gets a
datagram socket whose other end is read here, and answers for the names of its own camera only. A thread
of this process resolves them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable, Collection, Iterable
from functools import partial

_HEADER = struct.Struct(">6H")
_MAX_QUERY = 512
_MAX_DATAGRAM = 2048
_ANSWER, _NO_SUCH_NAME = 0x8180, 0x8183
_A, _AAAA = 1, 28
_TTL_S = 5
_MAX_THREADS = 16
_slots = threading.BoundedSemaphore(_MAX_THREADS)

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class CameraPeers:
    """What belongs to one camera: its addresses, and for TCP the worker's own relay to it.

    Attributes:
        names: those of its addresses that are names.
    """

    def __init__(self, addresses: Iterable[tuple[str, int]], loop: asyncio.AbstractEventLoop) -> None:
        self._addresses = set(addresses)
        self._relay: tuple[IpAddress, int] | None = None
        hosts = {host for host, _ in self._addresses if _as_ip(host) is None}
        self.names = CameraNames(hosts, loop)

    def add_ports(self, *, relay: int, redirected: int) -> None:
        """Add the relay's port, and unless it is 0, the one that the camera redirects to."""
        self._relay = (ipaddress.IPv4Address("127.0.0.1"), relay)
        if redirected:
            self._addresses |= {(host, redirected) for host, _ in self._addresses}

    def include(self, host: IpAddress, port: int | None = None) -> bool:
        """Return whether this is the camera, at this port or (None) at any, or the relay."""
        return (host, port) == self._relay or any(
            host == _as_ip(name) or host in self.names.addresses.get(name.lower(), ())
            for name, its_port in self._addresses
            if port in (None, its_port)
        )

    def resolve_before(self, host: IpAddress, port: int, decide: Callable[[], object]) -> None:
        """Call `decide`; first resolve the camera's name again if the address is not known as its."""
        names = [name for name, its_port in self._addresses if its_port == port and _as_ip(name) is None]
        if not names or self.include(host, port):
            decide()
        else:
            self.names.resolve(names[0].lower(), decide)


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


class NameServer:
    """Takes the place of a name server for one worker."""

    def __init__(self, names: CameraNames, loop: asyncio.AbstractEventLoop) -> None:
        self._names = names
        self._loop = loop
        self._sock: socket.socket | None = None

    def connect(self) -> socket.socket:
        """Return a socket that takes DNS queries; the one before is closed."""
        self.close()
        flags = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        self._sock, other = socket.socketpair(socket.AF_UNIX, flags)
        self._loop.add_reader(self._sock, self._answer_query, self._sock)
        return other

    def close(self) -> None:
        """End the connection; may be called twice."""
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._sock.close()
            self._sock = None

    def _answer_query(self, sock: socket.socket) -> None:
        try:
            query = sock.recv(_MAX_DATAGRAM)
        except OSError:
            query = b""
        if query:
            self._names.answer_query(query, partial(_send, sock))
        else:
            self.close()


def _as_ip(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _send(sock: socket.socket, answer: bytes) -> None:
    try:
        sock.send(answer)
    except OSError:
        return  # the worker does not wait for it any more


def _encoded(host: str) -> bytes:
    labels = host.rstrip(".").encode("idna").split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
