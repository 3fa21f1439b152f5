"""What a worker reports to the supervisor: heartbeats and metrics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from maskwatch.capture.reconnect import ConnectionStatus
from maskwatch.clock import Clock
from maskwatch.domain import CameraState
from maskwatch.ipc.child import SupervisorChannel
from maskwatch.ipc.loop import EventLoop
from maskwatch.ipc.messages import Heartbeat, Metrics
from maskwatch.telemetry.meter import MetricsSnapshot

_HEARTBEAT_INTERVAL_S = 1.0
_METRICS_INTERVAL_S = 5.0


class StatusReporter:
    """Takes status and metrics from the main thread; sends them on the connection's thread.

    A heartbeat is sent also while the main thread hangs in a decoder: it then shows that no frame was
    processed, and a deadline that has passed. `connection_metrics` returns what the connection's own
    thread has counted.
    """

    def __init__(
        self,
        channel: SupervisorChannel,
        loop: EventLoop,
        clock: Clock,
        connection_metrics: Callable[[], MetricsSnapshot],
    ) -> None:
        self._channel = channel
        self._loop = loop
        self._clock = clock
        self._connection_metrics = connection_metrics
        self._status = ConnectionStatus(CameraState.CONNECTING, "starting", clock.now(), None, 0.0, 0)
        self._state_changed = False
        self._frames = 0
        self._last_frame: datetime | None = None
        self._metrics = MetricsSnapshot()
        self._load = (0.0, 0)

    # --- on the main thread -------------------------------------------------------------------------

    def set_status(self, status: ConnectionStatus) -> None:
        """Set what the next heartbeats report; a change of state or reason is sent immediately."""
        changed = (status.state, status.reason) != (self._status.state, self._status.reason)
        self._status = status
        if changed:
            self._state_changed = True
            self._loop.wake()

    def frame_processed(self, captured_at: datetime) -> None:
        """Count a frame that has passed through the whole pipeline."""
        self._frames += 1
        self._last_frame = captured_at

    def set_load(self, rate: float, lost: int) -> None:
        """Set the frames to analyse per second, and how many of those due were not analysed."""
        self._load = rate, lost

    def set_metrics(self, snapshot: MetricsSnapshot) -> None:
        self._metrics = snapshot

    # --- on the connection's thread -----------------------------------------------------------------

    def start(self) -> None:
        """Send the first heartbeat and metrics, and the following ones at their intervals."""
        self.send_all()
        self._loop.every(_HEARTBEAT_INTERVAL_S, self._send_heartbeat)
        self._loop.every(_METRICS_INTERVAL_S, self._send_metrics)

    def send_change(self) -> None:
        """Send a heartbeat if the state has changed since the last call."""
        if self._state_changed:
            self._state_changed = False
            self._send_heartbeat()

    def send_all(self) -> None:
        self._send_heartbeat()
        self._send_metrics()

    def _send_heartbeat(self) -> None:
        status = self._status
        now = self._clock.monotonic()
        rate, lost = self._load
        heartbeat = Heartbeat(
            state=status.state,
            reason=status.reason,
            since=status.since,
            leave_by=None if status.leave_by is None else status.leave_by - now,
            frames=self._frames,
            last_frame=self._last_frame,
            attempt=status.attempt,
            overload=status.overload,
            rate=rate,
            lost=lost,
        )
        self._channel.send(heartbeat, droppable=True)

    def _send_metrics(self) -> None:
        main, own = self._metrics, self._connection_metrics()
        snapshot = MetricsSnapshot(main.samples + own.samples, main.histograms + own.histograms)
        self._channel.send(Metrics(snapshot=snapshot), droppable=True)
