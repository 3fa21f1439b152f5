"""Waits until somebody listens at the camera's address, before anything heavy is loaded for it.

A plain TCP connection tells what a stream's library would take thirty megabytes to find out; so a
hundred cameras that are switched off cost little. What a connection leads to is not asked here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import select
import socket
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from maskwatch.capture.reconnect import ReconnectState, Timeouts
from maskwatch.clock import Clock
from maskwatch.config.addresses import host_and_port
from maskwatch.config.schema import CameraConfig
from maskwatch.errors import (
    SourceError,
    SourceGarbageError,
    SourceRefusedError,
    SourceSilentError,
    SourceUnreachableError,
)
from maskwatch.secrets import SecretUrl

__all__ = ["ReachabilityProbe", "ReachabilityWait", "diagnose_rtsp_port"]

_AT_ONCE = 100  # connections; each is a descriptor


class ReachabilityProbe:
    """Rings once at the enabled cameras; `answered` holds the names of those that did so far."""

    def __init__(self, cameras: Iterable[CameraConfig]) -> None:
        self.answered: set[str] = set()
        self._cameras = [camera for camera in cameras if camera.enabled]
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def ring(self, seconds: float) -> None:
        """Knock at all of them, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*map(self._knock, self._cameras))

    async def _knock(self, camera: CameraConfig) -> None:
        address = host_and_port(camera.substream or camera.url)
        if address is None:  # a file is always there
            self.answered.add(camera.name)
        elif _is_number(address[0]):  # to look a name up may take long, and cannot be broken off
            async with self._room:
                await self._connect(camera.name, address)

    async def _connect(self, name: str, address: tuple[str, int]) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as sock, contextlib.suppress(OSError):
            sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
            await asyncio.get_running_loop().sock_connect(sock, address)
            self.answered.add(name)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


_PORT = 554
_ENOUGH = 8
_REQUEST = "OPTIONS {url} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: maskwatch\r\n\r\n"


def diagnose_rtsp_port(url: SecretUrl, timeout: float) -> SourceError | None:
    """Ask for the options of an rtsp address, and say what is wrong with the answer.

    Sends no credentials. Returns None if the peer speaks RTSP after all, or cannot be reached.
    """
    parts = urlsplit(url.reveal())
    host, port = parts.hostname or "", parts.port or _PORT
    bare = f"rtsp://{host}:{port}{parts.path}"
    try:
        with socket.create_connection((host, port), timeout) as peer:
            peer.sendall(_REQUEST.format(url=bare).encode())
            answer = peer.recv(_ENOUGH)
    except TimeoutError:
        return SourceSilentError(f"{url.redacted}: connected, but no answer within {timeout:g} s")
    except OSError:
        return None
    if answer and not b"RTSP/1.0".startswith(answer):
        return SourceGarbageError(f"{url.redacted}: what answers there does not speak RTSP")
    return None if answer else _hung_up(url)


def _hung_up(url: SecretUrl) -> SourceGarbageError:
    return SourceGarbageError(f"{url.redacted}: connected, but the peer hung up without an answer")


_SLICE = 0.5
_GLANCE = 0.25
_WORDS: dict[type[SourceError], str] = {
    SourceRefusedError: "refused",
    SourceUnreachableError: "unreachable",
    SourceSilentError: "silent",
}


class ReachabilityWait:
    """Tries the address with the same patience and pauses as a real connection.

    Args:
        camera: whose address it is.
        clock: for deadlines.
        attempt: failures in a row of the worker that this one replaces.
        on_failure: called with the reason's short word at each failed try.

    """

    def __init__(
        self,
        camera: CameraConfig,
        *,
        clock: Clock,
        attempt: int,
        on_failure: Callable[[str], None],
    ) -> None:
        self._url = camera.substream or camera.url
        self._address = host_and_port(self._url)
        self._patience = camera.open_timeout
        self._clock = clock
        self._on_failure = on_failure
        self.machine = ReconnectState(
            clock.monotonic(),
            patience=Timeouts(camera.open_timeout, camera.stall_timeout),
            attempt=attempt,
        )

    def try_when_due(self, pause: Callable[[float], object], changed: Callable[[], None]) -> bool:
        """Try if it is time to; return whether somebody answered (a file always does).

        `pause` waits up to the given seconds and returns whether to stop; `changed` is called when
        the state has changed.
        """
        now = self._clock.monotonic()
        if self._address is None:
            return True
        if not self.machine.due(now):
            pause(min(_SLICE, max(0.0, self.machine.retry_at - now)))
            return False
        self.machine.connecting(now)
        changed()
        error = self._try(pause)
        if error is None:
            return True
        self.machine.failed(error, self._clock.monotonic())
        self.machine.closed(self._clock.monotonic())
        self._on_failure(_WORDS[type(error)])
        changed()
        return False

    def _try(self, pause: Callable[[float], object]) -> SourceError | None:
        """Connect, and hang up; return what stood in the way. Ends early when `pause` says stop."""
        assert self._address is not None  # a file is never tried
        host, port = self._address
        try:
            places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return SourceUnreachableError(f"{self._url.redacted}: the host name is unknown")
        deadline = time.monotonic() + self._patience
        code = 0
        for family, _, _, _, place in places:
            code = _connect(family, place, deadline, pause)
            if code == 0:
                return None
        return self._meaning(code)

    def _meaning(self, code: int) -> SourceError:
        where = self._url.redacted
        if code == errno.ETIMEDOUT:
            return SourceSilentError(f"{where}: no answer within {self._patience:.0f} s")
        if code in (errno.ECONNREFUSED, errno.ECONNRESET):
            return SourceRefusedError(f"{where}: nobody listens there; check address and port")
        return SourceUnreachableError(f"{where}: no route to the host; check address and network")


def _connect(
    family: int, place: tuple[object, ...], deadline: float, pause: Callable[[float], object]
) -> int:
    """Return 0 for a connection, else the error's number; ETIMEDOUT also when told to stop."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
            code = sock.connect_ex(place)
            while code == errno.EINPROGRESS:
                if select.select([], [sock], [], _GLANCE)[1]:
                    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if time.monotonic() > deadline or pause(0):
                    return errno.ETIMEDOUT
            return code
    except OSError as error:
        return error.errno or errno.EIO
