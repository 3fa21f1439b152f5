"""What the worker's main thread reports of its camera: the connection's state, and counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from maskwatch.capture.reconnect import ConnectionStatus, ReconnectState
from maskwatch.clock import Clock
from maskwatch.config.schema import CameraConfig
from maskwatch.domain import CameraState
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from maskwatch.worker.overload import OverloadMonitor
from maskwatch.worker.status_reporter import StatusReporter

if TYPE_CHECKING:
    from maskwatch.capture.source import SourceCounts

_LOADING_TIMEOUT_S = 60.0
_METRICS_INTERVAL_S = 2.0


class CameraReporter:
    """Passes a camera's status and metrics to the thread that sends them."""

    def __init__(self, camera: CameraConfig, reporter: StatusReporter, clock: Clock) -> None:
        self.meter = Meter()
        self.status = ConnectionStatus(CameraState.CONNECTING, "", clock.now(), None, 0.0, 0)
        self._labels = {"camera": camera.name}
        self._asked_rate = camera.rate
        self._reporter = reporter
        self._clock = clock
        self._metrics_at = 0.0
        self._overload = OverloadMonitor()
        self._frames = 0

    def report_waiting(self, connection: ReconnectState) -> None:
        self._report(self._keeping_since(connection.status(self._clock.now())))

    def report_loading(self, what: str, attempt: int) -> None:
        """Report that something is being loaded: on a starved machine that takes its time."""
        now, leave_by = self._clock.now(), self._clock.monotonic() + _LOADING_TIMEOUT_S
        reason = f"loading {what}"
        status = ConnectionStatus(CameraState.CONNECTING, reason, now, leave_by, 0.0, attempt)
        self._report(self._keeping_since(status))

    def frame_processed(self, captured_at: datetime) -> None:
        self._frames += 1
        self._reporter.frame_processed(captured_at)

    def report_source(
        self, status: ConnectionStatus, counts: SourceCounts, rate: float, earlier_failures: int
    ) -> None:
        """Report the source's status, with the failures in a row from before this source was made.

        `rate` is how many frames the source returns per second now.
        """
        lost = counts.skipped + counts.missed
        self._reporter.set_load(rate, lost)
        note = "" if rate == self._asked_rate else f" (rate {rate:.3g} instead of {self._asked_rate:g})"
        self._overload.update(self._clock.monotonic(), self._frames, lost + counts.reduced, note)
        overload, reason = self._overload.text, status.reason
        if overload and status.state is CameraState.LIVE:
            reason = f"overloaded: {overload}"  # without a note: overload falsifies measured clocks
        attempt = status.attempt + earlier_failures
        self._report(replace(status, reason=reason, attempt=attempt, overload=overload))

    def count_disconnect(self, reason: str) -> None:
        self.meter.add(catalogue.DISCONNECTS, {**self._labels, "reason": reason})

    def report_metrics(self, counts: SourceCounts | None) -> None:
        self._metrics_at = self._clock.monotonic()
        if counts is not None:
            self._count_frames(counts)
        self._reporter.set_metrics(self.meter.snapshot())

    def report_metrics_when_due(self, counts: SourceCounts | None) -> None:
        if self._clock.monotonic() - self._metrics_at >= _METRICS_INTERVAL_S:
            self.report_metrics(counts)

    def _keeping_since(self, status: ConnectionStatus) -> ConnectionStatus:
        """Return the status with the beginning of the last one if the state is the same."""
        if (status.state, status.reason) != (self.status.state, self.status.reason):
            return status
        return replace(status, since=self.status.since)

    def _report(self, status: ConnectionStatus) -> None:
        self.status = status
        self._reporter.set_status(status)
        retry_in = status.retry_in(self._clock.monotonic())
        self.meter.set(catalogue.BACKOFF_SECONDS, retry_in, self._labels)

    def _count_frames(self, counts: SourceCounts) -> None:
        for fate in ("decoded", "damaged", "no_key", "sampled", "skipped", "late", "missed", "reduced"):
            self.meter.set(catalogue.FRAMES, getattr(counts, fate), {**self._labels, "fate": fate})
        self.meter.take(counts.decoding, self._labels)
        if self._overload.share is None:
            self.meter.drop(catalogue.ANALYSED_RATIO, self._labels)
        else:
            self.meter.set(catalogue.ANALYSED_RATIO, self._overload.share, self._labels)
