"""Waits until somebody listens at the camera's address, before anything heavy is loaded for it.

A plain TCP connection tells what a stream's library would take thirty megabytes to find out; so a
hundred cameras that are switched off cost little. What a connection leads to is not asked here.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from maskwatch.capture.reconnect import Patience, Reconnect
from maskwatch.clock import Clock
from maskwatch.config.schema import CameraConfig
from maskwatch.errors import (
    SourceError,
    SourceRefusedError,
    SourceSilentError,
    SourceUnreachableError,
)
from maskwatch.secrets import SecretUrl

__all__ = ["Knocker", "address_of"]

_PORTS = {"rtsp": 554, "rtsps": 322}
_SLICE = 0.5
_WORDS: dict[type[SourceError], str] = {
    SourceRefusedError: "refused",
    SourceUnreachableError: "unreachable",
    SourceSilentError: "silent",
}


def address_of(url: SecretUrl) -> tuple[str, int] | None:
    """Return host and TCP port of a camera's address; None for a file's path."""
    parts = urlsplit(url.reveal())
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return parts.hostname, parts.port or _PORTS[parts.scheme]


class Knocker:
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
        self._address = address_of(self._url)
        self._patience = camera.open_timeout
        self._clock = clock
        self._on_failure = on_failure
        self.machine = Reconnect(
            clock.monotonic(),
            patience=Patience(camera.open_timeout, camera.stall_timeout),
            attempt=attempt,
        )

    def knock(self, pause: Callable[[float], object], changed: Callable[[], None]) -> bool:
        """Try if it is time to; return whether somebody answered (a file always does).

        `pause` waits up to the given seconds, `changed` is called when the state has changed.
        """
        now = self._clock.monotonic()
        if self._address is None:
            return True
        if not self.machine.due(now):
            pause(min(_SLICE, max(0.0, self.machine.retry_at - now)))
            return False
        self.machine.connecting(now)
        changed()
        error = self._try()
        if error is None:
            return True
        self.machine.failed(error, self._clock.monotonic())
        self.machine.closed(self._clock.monotonic())
        self._on_failure(_WORDS[type(error)])
        changed()
        return False

    def _try(self) -> SourceError | None:
        assert self._address is not None  # a file is never tried
        where = self._url.redacted
        try:
            socket.create_connection(self._address, self._patience).close()
        except ConnectionRefusedError:
            return SourceRefusedError(f"{where}: nobody listens there; check address and port")
        except TimeoutError:
            return SourceSilentError(f"{where}: no answer within {self._patience:.0f} s")
        except OSError as error:
            detail = "the host name is unknown" if isinstance(error, socket.gaierror) else "no route"
            if error.errno == errno.ECONNRESET:
                return SourceRefusedError(f"{where}: the host refuses connections")
            return SourceUnreachableError(f"{where}: {detail}; check address and network")
        return None
