"""Whether something accepts connections at a camera's address, found out by plain TCP.

A connection costs next to nothing, while FFmpeg takes thirty megabytes. So the supervisor learns at its
start which workers to start first, and a worker loads FFmpeg only once its camera can be reached.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from collections.abc import Callable, Iterable

from maskwatch.capture.reconnect import ReconnectDelays, ReconnectState, Timeouts
from maskwatch.clock import Clock
from maskwatch.config.addresses import host_and_port, is_ip_address
from maskwatch.config.schema import CameraConfig
from maskwatch.errors import (
    SourceError,
    SourceRefusedError,
    SourceSilentError,
    SourceUnreachableError,
)

_MAX_CONNECTIONS = 100  # at one time; each is a descriptor
_MAX_WAIT_S = 0.5
_POLL_S = 0.25
_REASONS: dict[type[SourceError], str] = {
    SourceRefusedError: "refused",
    SourceUnreachableError: "unreachable",
    SourceSilentError: "silent",
}

Address = tuple[str, int]


class ReachabilityProbe:
    """Connects once to each enabled camera; `reachable` holds the names of those that accepted."""

    def __init__(self, cameras: Iterable[CameraConfig]) -> None:
        self.reachable: set[str] = set()
        self._cameras = [camera for camera in cameras if camera.enabled]

    async def run(self, timeout: float) -> None:
        """Connect to all of them; end after `timeout` seconds at the latest."""
        import asyncio  # noqa: PLC0415 - six megabytes that a worker, which imports this module, saves

        slots = asyncio.Semaphore(_MAX_CONNECTIONS)
        loop = asyncio.get_running_loop()

        async def connect(name: str, address: Address) -> None:
            async with slots:
                with contextlib.suppress(OSError), _nonblocking_socket(_family(address)) as sock:
                    await loop.sock_connect(sock, address)
                    self.reachable.add(name)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await asyncio.gather(*(connect(*target) for target in self._targets()))

    def _targets(self) -> list[tuple[str, Address]]:
        """Return the cameras to connect to; a file counts as reachable without a connection."""
        targets = []
        for camera in self._cameras:
            address = host_and_port(camera.substream or camera.url)
            if address is None:
                self.reachable.add(camera.name)
            elif is_ip_address(address[0]):  # a name's resolution may take long, and cannot be cancelled
                targets.append((camera.name, address))
        return targets


class ReachabilityWait:
    """Connects to a camera's address with the time-outs and delays of a real connection.

    Args:
        attempt: failures in a row of the worker that this one replaces.
        on_failure: called with the reason's short word at each failed attempt.
    """

    def __init__(
        self,
        camera: CameraConfig,
        *,
        clock: Clock,
        attempt: int,
        on_failure: Callable[[str], None],
        delays: ReconnectDelays | None = None,
    ) -> None:
        self._url = camera.substream or camera.url
        self._address = host_and_port(self._url)
        self._timeout = camera.open_timeout
        self._clock = clock
        self._on_failure = on_failure
        self.connection = ReconnectState(
            clock.monotonic(),
            delays=delays,
            timeouts=Timeouts(camera.open_timeout, camera.stall_timeout),
            attempt=attempt,
        )

    def attempt_when_due(self, wait: Callable[[float], object], on_change: Callable[[], None]) -> bool:
        """Make an attempt if one is due; return whether it succeeded (with a file it always does).

        `wait` waits up to the given seconds, and returns whether to stop. `on_change` is called when the
        state of `connection` has changed.
        """
        now = self._clock.monotonic()
        if self._address is None:
            return True
        if not self.connection.due(now):
            wait(min(_MAX_WAIT_S, max(0.0, self.connection.retry_at - now)))
            return False
        self.connection.connecting(now)
        on_change()
        error = self._attempt(self._address, wait)
        if error is None:
            return True
        self.connection.failed(error, self._clock.monotonic())
        self.connection.closed(self._clock.monotonic())
        self._on_failure(_REASONS[type(error)])
        on_change()
        return False

    def _attempt(self, address: Address, wait: Callable[[float], object]) -> SourceError | None:
        """Connect and disconnect; return what failed. Ends early when `wait` returns true."""
        try:
            resolved = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
        except OSError:
            return SourceUnreachableError(f"{self._url.redacted}: the host name is unknown")
        deadline = time.monotonic() + self._timeout
        code = 0
        for family, _, _, _, peer in resolved:
            code = _connect(family, peer, deadline, wait)
            if code == 0:
                return None
        return self._error_of(code)

    def _error_of(self, code: int) -> SourceError:
        where = self._url.redacted
        if code == errno.ETIMEDOUT:
            return SourceSilentError(f"{where}: no answer within {self._timeout:.0f} s")
        if code in (errno.ECONNREFUSED, errno.ECONNRESET):
            return SourceRefusedError(f"{where}: connection refused; check address and port")
        return SourceUnreachableError(f"{where}: no route to the host; check address and network")


def _connect(
    family: int, peer: tuple[object, ...], deadline: float, wait: Callable[[float], object]
) -> int:
    """Return 0 for a connection, else the errno; ETIMEDOUT also when `wait` returns true."""
    try:
        with _nonblocking_socket(family) as sock:
            code = sock.connect_ex(peer)
            while code == errno.EINPROGRESS:
                if select.select([], [sock], [], _POLL_S)[1]:
                    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if time.monotonic() > deadline or wait(0):
                    return errno.ETIMEDOUT
            return code
    except OSError as error:
        return error.errno or errno.EIO


def _nonblocking_socket(family: int) -> socket.socket:
    return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


def _family(address: Address) -> int:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def listen() -> socket.socket:
    """Return a listener on the loopback interface for `RtspRelay`; the sandbox refuses to make one."""
    return socket.create_server(("127.0.0.1", 0), backlog=4)
