"""A camera that is watched continuously: connects, reads, and reconnects without end.

Drives `ReconnectState`, which decides, with an `RtspSource`, which reads, and a `HealthMonitor`, which
checks the pictures. `read` raises no error for the camera's failures but one.
"""

from __future__ import annotations

import math
import random
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from maskwatch.capture.container import StreamOptions
from maskwatch.capture.diagnose import reason_of
from maskwatch.capture.reconnect import ConnectionStatus, ReconnectDelays, ReconnectState, Timeouts
from maskwatch.capture.rtsp import RtspSource
from maskwatch.capture.source import Fit, SourceCounts, StreamInfo, native_size
from maskwatch.clock import Clock, SystemClock
from maskwatch.config.addresses import stream_url
from maskwatch.config.schema import CameraConfig, Transport
from maskwatch.domain.camera import CameraState
from maskwatch.domain.frame import Frame
from maskwatch.errors import (
    SourceError,
    SourceLoginMethodError,
    SourceNoKeyPictureError,
    SourceNotFoundError,
    SourceNoVideoError,
    SourceOverloadError,
    SourceRedirectedError,
    SourceRefusedError,
    SourceTooLargeError,
    SourceUnauthorizedError,
    SourceUnreachableError,
)

if TYPE_CHECKING:
    from maskwatch.capture.health import HealthMonitor

_CLOSE_POLL_S = 0.02
# Errors that another transport would not change.
_INDEPENDENT_OF_TRANSPORT = (
    SourceLoginMethodError,
    SourceRedirectedError,
    SourceNotFoundError,
    SourceNoKeyPictureError,
    SourceNoVideoError,
    SourceOverloadError,
    SourceRefusedError,
    SourceTooLargeError,
    SourceUnauthorizedError,
    SourceUnreachableError,
)


def stream_options(
    camera: CameraConfig,
    listener: socket.socket | None = None,
    processor_share: float = math.inf,
) -> StreamOptions:
    """Return how to connect to a camera: its sub-stream if it has one, with its credentials.

    `listener` and `processor_share` are those of `StreamOptions`.
    """
    transport = Transport.TCP if camera.transport is Transport.AUTO else camera.transport
    return StreamOptions(
        stream_url(camera),
        transport,
        camera.open_timeout,
        camera.stall_timeout,
        camera.tls_verify,
        camera.max_pixels,
        camera.auth,
        camera.ca_file,
        listener,
        processor_share,
        camera.video_track,
        camera.redirect_hosts,
    )


class LiveCamera:
    """Reads the newest frame of a camera, and reconnects when that fails.

    Args:
        attempt: failures in a row of the worker that this one replaces.
        on_disconnect: called with the reason's short word at each failed connection.
        options: how to connect; by default those of `stream_options`.
    """

    def __init__(
        self,
        config: CameraConfig,
        *,
        fit: Fit = native_size,
        clock: Clock | None = None,
        attempt: int = 0,
        delays: ReconnectDelays | None = None,
        rng: random.Random | None = None,
        on_disconnect: Callable[[str], None] | None = None,
        options: StreamOptions | None = None,
    ) -> None:
        self.counts = SourceCounts()
        self._config = config
        self._fit = fit
        self._clock = clock or SystemClock()
        self._on_disconnect = on_disconnect
        timeouts = Timeouts(config.open_timeout, config.stall_timeout)
        now = self._clock.monotonic()
        self._connection = ReconnectState(
            now, delays=delays, timeouts=timeouts, rng=rng, attempt=attempt
        )
        self._options = options or stream_options(config)
        self._source: RtspSource | None = None
        self._health: HealthMonitor | None = None
        self._last_state = (self._connection.state, self._connection.reason)
        self._since = self._clock.now()
        self._rate = config.rate

    @property
    def rate(self) -> float:
        """Frames to return per second; settable, but never more than the configuration asks for."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        rate = min(rate, self._config.rate)
        if rate != self._rate:
            self._rate = rate
            if self._source is not None:
                self._source.set_rate(rate)

    @property
    def info(self) -> StreamInfo | None:
        return self._source.info if self._source else None

    @property
    def status(self) -> ConnectionStatus:
        """The state of the connection now; an overdue `leave_by` is now."""
        status = self._connection.status(self._since)
        if status.state is CameraState.LIVE and not status.reason and self._source is not None:
            status = replace(status, reason=self._source.clock_note)
        if status.leave_by is None:
            return status
        return replace(status, leave_by=max(self._clock.monotonic(), status.leave_by))

    def read(self, timeout: float) -> Frame | None:
        """Return the newest frame, or None if none came within `timeout` seconds.

        Raises:
            SourceRedirectedError: another process must continue, whose sandbox allows one more port.
        """
        deadline = self._clock.monotonic() + timeout
        while (now := self._clock.monotonic()) < deadline:
            frame = self._step(now, deadline - now)
            self._note_state()
            if frame is not None:
                return frame
        return None

    def _step(self, now: float, timeout: float) -> Frame | None:
        """Do what the state requires next, in about `timeout` seconds at most."""
        match self._connection.state:
            case CameraState.CONNECTING | CameraState.LIVE | CameraState.BLIND:
                return self._read(timeout)
            case CameraState.STALLED:
                self._await_close(now, timeout)
            case CameraState.BACKOFF:
                self._await_retry(now, timeout)
            case CameraState.DISABLED | CameraState.QUARANTINED:
                time.sleep(timeout)
        return None

    def _read(self, timeout: float) -> Frame | None:
        assert self._source is not None  # these states have a connection
        try:
            frame = self._source.read(timeout)
        except SourceRedirectedError:
            raise
        except SourceError as error:
            self._failed(error)
            return None
        if frame is not None:
            self._connection.frame(frame.moment)
            blind = self._health_monitor().observe(frame.luma, frame.moment)
            self._connection.health(blind, frame.moment)
        return frame

    def _failed(self, error: SourceError) -> None:
        was_open = self._connection.state is not CameraState.CONNECTING
        self._connection.failed(error, self._clock.monotonic())
        if self._source is not None:
            self._source.stop()
        if self._on_disconnect is not None:
            stalled = was_open and reason_of(error) == "silent"
            self._on_disconnect("stalled" if stalled else reason_of(error))
        if not was_open and not isinstance(error, _INDEPENDENT_OF_TRANSPORT):
            self._try_other_transport()

    def _try_other_transport(self) -> None:
        if self._config.transport is Transport.AUTO:
            is_tcp = self._options.transport is Transport.TCP
            other = Transport.UDP if is_tcp else Transport.TCP
            self._options = replace(self._options, transport=other)

    def _await_close(self, now: float, timeout: float) -> None:
        """Wait until native code has ended; a second connection beside it might hang as well."""
        if self._is_closed(timeout):
            self._connection.closed(now)

    def _is_closed(self, timeout: float) -> bool:
        """Return whether the old connection has ended; wait a moment if it has not."""
        if self._source is not None and self._source.closed:
            self._source = None
        if self._source is not None:
            time.sleep(min(timeout, _CLOSE_POLL_S))
        return self._source is None

    def _await_retry(self, now: float, timeout: float) -> None:
        if not self._connection.due(now):
            time.sleep(min(timeout, max(0.0, self._connection.retry_at - now)))
        elif self._is_closed(timeout):
            self._connect(now)

    def _connect(self, now: float) -> None:
        self._source = RtspSource(
            self._options,
            rate=self._config.rate,
            fit=self._fit,
            rotation=self._config.rotation,
            clock=self._clock,
            counts=self.counts,
        )
        if self._rate != self._config.rate:
            self._source.set_rate(self._rate)
        if self._health is not None:
            self._health.reset()
        self._connection.connecting(now)

    def _health_monitor(self) -> HealthMonitor:
        if self._health is None:
            # Imported with the first frame: a camera that is never reached needs no numpy.
            from maskwatch.capture.health import HealthMonitor  # noqa: PLC0415 - see above

            self._health = HealthMonitor()
        return self._health

    def _note_state(self) -> None:
        state = (self._connection.state, self._connection.reason)
        if state != self._last_state:
            self._last_state, self._since = state, self._clock.now()

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None
