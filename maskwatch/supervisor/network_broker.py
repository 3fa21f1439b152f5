"""Makes the network connections of a worker: only to its camera and to the recorder.

A filter in the kernel sees the number of a system call, and not the address that an argument points to.
So the worker's `connect` waits (see `maskwatch.sandbox.notify`): the address is copied, compared, and
used here for a socket of this process, which then takes the place of the worker's. Nothing that the
worker changes meanwhile has an effect, and nothing here waits for a peer.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import secrets
import select
import socket
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from maskwatch.clock import Clock
from maskwatch.config.addresses import camera_addresses
from maskwatch.config.schema import CameraConfig, Transport
from maskwatch.ipc.control import control_socket
from maskwatch.ipc.peer_credentials import introduction
from maskwatch.ipc.token_bucket import TokenBucket
from maskwatch.sandbox import notify
from maskwatch.sandbox.brokered import LISTENER, NO, PROBE, YES
from maskwatch.sandbox.notify import Call, Listener, Process
from maskwatch.supervisor.camera_peers import CameraPeers, IpAddress, NameServer

_log = logging.getLogger(__name__)
_MAX_ADDRESS = 128
_MAX_DATAGRAM = 2048
_MAX_CONNECTING = 16
_DNS = 53
_FIRST_USER_PORT = 1024
_CALLS_PER_SECOND, _BURST = 50.0, 500.0
_RESOLVERS = frozenset(
    {
        b"/var/run/nscd/socket",
        b"/run/systemd/resolve/io.systemd.Resolve",
        b"/var/run/avahi-daemon/socket",
        b"/run/avahi-daemon/socket",
        b"/run/dbus/system_bus_socket",
        b"/var/run/dbus/system_bus_socket",
    }
)
# No library calls these by mistake: whoever does has taken the worker over.
_ATTACKS = frozenset(
    """
    ptrace process_vm_readv process_vm_writev process_madvise pidfd_open pidfd_getfd pidfd_send_signal
    kcmp kill tkill rt_sigqueueinfo rt_tgsigqueueinfo bpf userfaultfd perf_event_open io_uring_setup
    kexec_load kexec_file_load init_module finit_module delete_module mount umount2 move_mount open_tree
    fsopen mount_setattr pivot_root chroot setns unshare open_by_handle_at keyctl add_key request_key
    chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat setxattr lsetxattr fsetxattr setxattrat
    truncate rename renameat renameat2 link linkat unlink unlinkat mknod mknodat setuid setgid setreuid
    setresuid setresgid capset execveat listen accept accept4 setsid setpgid sched_setscheduler
    """.split()  # noqa: SIM905 - a list of this length is read as a text
)


class Peer(NamedTuple):
    """An address that a worker has given; `scope` is the interface of a link-local one."""

    host: IpAddress
    port: int
    scope: int = 0

    @property
    def address(self) -> tuple[str, int] | tuple[str, int, int, int]:
        plain = (str(self.host), self.port)
        return plain if self.host.version == 4 else (*plain, 0, self.scope)


class NetworkBroker:
    """Answers the system calls of one worker that its filter does not allow.

    Args:
        sock: the worker's question whether this process can, and its listener, arrive here.
        recorder: the path of the recorder's socket.
        misbehaved: called with the reason when the worker does what only an attacker does.
    """

    def __init__(
        self,
        pid: int,
        sock: socket.socket,
        camera: CameraConfig,
        recorder: str,
        misbehaved: Callable[[str], object],
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
    ) -> None:
        self._pid = pid
        self._sock = sock
        self._camera = camera.name
        self._udp = camera.transport is not Transport.TCP
        self._recorder = os.fsencode(recorder)
        self._control = os.fsencode(control_socket(Path(recorder).parent))
        self._misbehaved = misbehaved
        self._loop = loop
        self._clock = clock
        self._peers = CameraPeers(camera_addresses(camera), loop)
        self._budget = TokenBucket(_CALLS_PER_SECOND, _BURST, clock.monotonic())
        self._reported: set[str] = set()
        self._name_server = NameServer(self._peers.names, loop)
        self._connecting: set[socket.socket] = set()
        self._process: Process | None = None
        self._listener: Listener | None = None
        loop.add_reader(sock, self._handshake)

    def close(self) -> None:
        """Stop answering; may be called twice."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()
        if self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        self._name_server.close()
        for sock in self._connecting:
            self._loop.remove_writer(sock)
            sock.close()
        self._connecting.clear()
        if self._process is not None:
            self._process.close()
            self._process = None

    # --- before the worker is sandboxed ------------------------------------------------------------

    def _handshake(self) -> None:
        question = self._sock.recv(PROBE.size, socket.MSG_DONTWAIT)
        if len(question) != PROBE.size:
            self._loop.remove_reader(self._sock)
            self._sock.close()
            return
        try:
            answer = self._probe(question) if question[:1] == b"p" else self._take_listener(question)
        except (OSError, AttributeError) as error:  # an old kernel, or no right to read the worker
            _log.info("the network of %s is not brokered: %s", self._camera, error)
            answer = NO
        self._sock.send(answer, socket.MSG_DONTWAIT)

    def _probe(self, question: bytes) -> bytes:
        _, address, cookie = PROBE.unpack(question)
        if not notify.supported():
            raise OSError(errno.ENOSYS, "it needs Linux 5.9")
        self._process = Process(self._pid)
        os.close(self._process.descriptor(0))
        return YES if self._process.memory(address, len(cookie)) == cookie else NO

    def _take_listener(self, question: bytes) -> bytes:
        _, number, relay_port, redirected_port = LISTENER.unpack(question)
        if self._process is None or self._listener is not None:
            return NO
        self._peers.add_ports(relay=relay_port, redirected=redirected_port)
        self._listener = Listener(self._process.descriptor(number))
        self._loop.add_reader(self._listener.fileno(), self._serve)
        return YES

    # --- the calls ---------------------------------------------------------------------------------

    def _serve(self) -> None:
        assert self._listener is not None  # watched only while there is one
        call = self._listener.receive()
        if call is None:
            if _hung_up(self._listener):
                self.close()
            return
        if not self._budget.spend(1, self._clock.monotonic()):
            self._misbehaved(f"made {_CALLS_PER_SECOND:g} refused or brokered system calls a second")
        self._handle(call)

    def _handle(self, call: Call) -> None:
        handlers = {
            "connect": self._connect,
            "socket": self._socket,
            "bind": self._bind,
            "sendto": self._sendto,
        }
        try:
            handlers.get(call.name, self._refuse)(call)
        except OSError as error:
            self._answer(call, error=error.errno or errno.EPERM)

    def _answer(self, call: Call, value: int = 0, error: int = 0) -> None:
        if self._listener is not None:
            self._listener.answer(call, value, error)

    def _refuse(self, call: Call) -> None:
        self._answer(call, error=errno.EPERM)
        if call.name not in self._reported:
            self._reported.add(call.name)
            _log.warning("the worker of %s was refused the system call %s", self._camera, call.name)
        if call.name in _ATTACKS:
            self._misbehaved(f"made the system call {call.name}")

    def _connect(self, call: Call) -> None:
        """Connect a socket of this process in place of the worker's, if the address is its camera's."""
        theirs, pointer, size = call.arguments[:3]
        address = self._read(pointer, size, _MAX_ADDRESS)
        family = int.from_bytes(address[:2], "little")
        if family == socket.AF_UNIX:
            self._connect_to_recorder(call, theirs, address[2:])
            return
        peer = _parse(address)
        with self._copy(theirs) as copied:
            kind, blocking = _kind(copied), os.get_blocking(copied.fileno())
        if kind == socket.SOCK_DGRAM and peer.port == _DNS:
            self._connect_to_name_server(call, theirs)
        elif kind == socket.SOCK_STREAM:
            self._connect_if_allowed(call, theirs, peer, blocking=blocking)
        else:
            self._refuse_address(call, peer)

    def _connect_if_allowed(self, call: Call, theirs: int, peer: Peer, *, blocking: bool) -> None:
        """Connect if the address is the camera's; resolve its name again before it is refused."""
        decide = partial(self._decide, call, theirs, peer, blocking=blocking)
        self._peers.resolve_before(peer.host, peer.port, decide)

    def _decide(self, call: Call, theirs: int, peer: Peer, *, blocking: bool) -> None:
        if not self._peers.include(peer.host, peer.port):
            self._refuse_address(call, peer)
            return
        family = socket.AF_INET if peer.host.version == 4 else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        result = sock.connect_ex(peer.address)
        if result == errno.EINPROGRESS and blocking and len(self._connecting) < _MAX_CONNECTING:
            self._connecting.add(sock)
            self._loop.add_writer(sock, self._connected, call, sock, theirs)
        else:
            self._hand_over(call, sock, theirs, result, blocking=blocking)

    def _connected(self, call: Call, sock: socket.socket, theirs: int) -> None:
        """Let a worker go on that waits for its connection."""
        self._connecting.discard(sock)
        self._loop.remove_writer(sock)
        result = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._hand_over(call, sock, theirs, result, blocking=True)

    def _hand_over(
        self, call: Call, sock: socket.socket, theirs: int, result: int, *, blocking: bool
    ) -> None:
        """Put our socket in place of the worker's, and have its `connect` end with `result`."""
        with sock:
            if result in (0, errno.EINPROGRESS) and self._listener is not None:
                sock.setblocking(blocking)
                self._listener.replace(call, sock.fileno(), theirs)
        self._answer(call, error=result)

    def _connect_to_recorder(self, call: Call, theirs: int, path: bytes) -> None:
        name = path.split(b"\0")[0]
        if name in _RESOLVERS:  # the C library tries them before it asks a name server
            self._answer(call, error=errno.ENOENT)
            return
        if name != self._recorder:
            self._refuse_socket(call, path)
            return
        with self._copy(theirs) as copied:
            blocking = os.get_blocking(copied.fileno())
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # The recorder sees this process as its peer, and the worker by this name.
        sock.bind(introduction(self._pid, secrets.token_hex(8)))
        result = sock.connect_ex(self._recorder)
        self._hand_over(call, sock, theirs, result, blocking=blocking)

    def _refuse_socket(self, call: Call, path: bytes) -> None:
        self._report_address(call, f"the socket {os.fsdecode(path.strip(bytes(1)))!r}")
        if path.split(b"\0")[0] == self._control:
            _log.error("refused the control socket: a connection from the child process %d", self._pid)
            self._misbehaved("connected to the control socket")

    def _connect_to_name_server(self, call: Call, theirs: int) -> None:
        if not self._peers.names.addresses:
            self._answer(call, error=errno.EPERM)
            return
        self._hand_over(call, self._name_server.connect(), theirs, 0, blocking=False)

    def _socket(self, call: Call) -> None:
        """Give the worker a UDP socket, which it can use only through `bind`, `connect` and `sendto`."""
        family, kind, protocol = (value & 0xFFFFFFFF for value in call.arguments[:3])
        flags = kind & (socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        wanted = family in (socket.AF_INET, socket.AF_INET6) and kind & ~flags == socket.SOCK_DGRAM
        if (
            not wanted
            or protocol not in (0, socket.IPPROTO_UDP)
            or not (self._udp or self._peers.names.addresses)
        ):
            self._refuse(call)
            return
        with socket.socket(family, kind, protocol) as sock:
            if self._listener is not None:
                self._answer(call, self._listener.give(call, sock.fileno()))

    def _bind(self, call: Call) -> None:
        """Bind a UDP socket of the worker to a port that no service uses."""
        theirs, pointer, size = call.arguments[:3]
        address = self._read(pointer, size, _MAX_ADDRESS)
        peer = _parse(address)
        with self._copy(theirs) as copied:
            if not self._udp or _kind(copied) != socket.SOCK_DGRAM or 0 < peer.port < _FIRST_USER_PORT:
                self._refuse(call)
                return
            copied.bind(peer.address)
        self._answer(call)

    def _sendto(self, call: Call) -> None:
        """Send a datagram of the worker to its camera."""
        theirs, data, length, _, pointer, size = call.arguments
        peer = _parse(self._read(pointer, size, _MAX_ADDRESS))
        if not self._udp or not self._peers.include(peer.host) or peer.port < _FIRST_USER_PORT:
            self._refuse_address(call, peer)
            return
        content = self._read(data, length, _MAX_DATAGRAM)
        with self._copy(theirs) as copied:
            if _kind(copied) != socket.SOCK_DGRAM:
                self._refuse(call)
                return
            sent = copied.sendto(content, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL, peer.address)
        self._answer(call, sent)

    def _read(self, pointer: int, size: int, limit: int) -> bytes:
        if self._process is None or not 0 < size <= limit:
            raise OSError(errno.EINVAL, "the size of an argument")
        return self._process.memory(pointer, size)

    def _copy(self, theirs: int) -> socket.socket:
        if self._process is None:
            raise OSError(errno.EPERM, "no process")
        return socket.socket(fileno=self._process.descriptor(theirs & 0xFFFFFFFF))

    def _refuse_address(self, call: Call, peer: Peer) -> None:
        self._report_address(call, f"{peer.host} port {peer.port}")

    def _report_address(self, call: Call, where: str) -> None:
        self._answer(call, error=errno.EACCES)
        if where not in self._reported and len(self._reported) < _BURST:
            self._reported.add(where)
            _log.warning("the worker of %s was refused a connection to %s", self._camera, where[:200])


def _kind(sock: socket.socket) -> int:
    return sock.type & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def _parse(address: bytes) -> Peer:
    """Return the contents of a `sockaddr`. Raises OSError for another family, or too few bytes."""
    family = int.from_bytes(address[:2], "little")
    try:
        (port,) = struct.unpack_from(">H", address, 2)
        if family == socket.AF_INET:
            return Peer(ipaddress.IPv4Address(address[4:8]), port)
        if family == socket.AF_INET6:
            host = ipaddress.IPv6Address(address[8:24])
            (scope,) = struct.unpack_from("=I", address, 24)
            return Peer(host.ipv4_mapped or host, port, scope)
    except (struct.error, ValueError):
        pass
    raise OSError(errno.EACCES, "an address of another family")


def _hung_up(listener: Listener) -> bool:
    poll = select.poll()
    poll.register(listener.fileno(), 0)
    return bool(poll.poll(0))
