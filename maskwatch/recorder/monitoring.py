"""What the recorder reports of itself: heartbeats, metrics, and incidents of the disk and backlog."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from maskwatch.alerts.sink import Sink
from maskwatch.clock import Clock
from maskwatch.domain import (
    CameraState,
    Incident,
    IncidentKind,
    OpenIncidents,
    SinkStatus,
    Snooze,
)
from maskwatch.ipc.child import SupervisorChannel
from maskwatch.ipc.messages import Heartbeat, Metrics, SinksChanged, SnoozeChanged, WorkerMisbehaved
from maskwatch.recorder.delivery import OutboxDelivery
from maskwatch.recorder.recording import Recording
from maskwatch.recorder.sinks import SinkDeliveries
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.store.outbox import Backlog
from maskwatch.store.parked import ParkedReason
from maskwatch.store.space import free_bytes, free_inodes
from maskwatch.store.store import Store
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter, MetricsSnapshot

_MAX_REASON = 200


class SupervisorReports:
    """Sends the recorder's reports to the supervisor.

    Attributes:
        trouble: why the store cannot be written now, "" if it can.
        received: how many messages workers have sent.
    """

    def __init__(self, supervisor: SupervisorChannel, clock: Clock) -> None:
        self.trouble = ""
        self.received = 0
        self._supervisor = supervisor
        self._since = clock.now()

    def heartbeat(self) -> None:
        heartbeat = Heartbeat(
            state=CameraState.LIVE,
            reason=self.trouble,
            since=self._since,
            leave_by=None,
            frames=self.received,
            last_frame=None,
            attempt=0,
        )
        self._supervisor.send(heartbeat, droppable=True)

    def metrics(self, snapshot: MetricsSnapshot) -> None:
        self._supervisor.send(Metrics(snapshot=snapshot), droppable=True)

    def sinks_changed(self, sinks: Sequence[SinkStatus]) -> None:
        self._supervisor.send(SinksChanged(sinks=tuple(sinks)), droppable=True)

    def snooze_changed(self, snooze: Snooze) -> None:
        self._supervisor.send(SnoozeChanged(snooze=snooze))

    def worker_misbehaved(self, pid: int, reason: str) -> None:
        """Report a worker that broke the protocol: the supervisor replaces it."""
        self._supervisor.send(WorkerMisbehaved(pid=pid, reason=reason[:_MAX_REASON]))


_BACKLOG_AFTER = timedelta(minutes=5)
_REASONS = {
    "locked": "another program keeps the database locked",
    "io": "the database cannot be written",
}
_DETECTED = frozenset({IncidentKind.BACKLOG, IncidentKind.DISK})


class IncidentDetector:
    """Opens an incident when a backlog or trouble of the disk begins, and closes it at the end.

    `changed` is called with each; `already_open` are those that an earlier recorder of the same run of
    the daemon left open.
    """

    def __init__(
        self,
        clock: Clock,
        changed: Callable[[Incident], None],
        already_open: Iterable[Incident] = (),
    ) -> None:
        self._clock = clock
        self._incidents = OpenIncidents(
            changed, [incident for incident in already_open if incident.kind in _DETECTED]
        )
        self._paused_at: dict[str, float] = {}

    def update(
        self,
        store: Store,
        deliveries: Iterable[OutboxDelivery],
        unstored: UnstoredBuffer,
        trouble: str,
    ) -> None:
        """Open and close incidents by the state now; `trouble` is `Intake.trouble`.

        Raises:
            StoreError: the database cannot be read now.
        """
        self._set(IncidentKind.DISK, _disk_reason(store, unstored, trouble))
        self._set(IncidentKind.BACKLOG, self._backlog_reason(store, deliveries))

    def database_replaced(self, reason: str) -> None:
        """Report a damaged database that was replaced: an incident that ends as it begins."""
        self._set(IncidentKind.STORE_DAMAGED, reason)
        self._set(IncidentKind.STORE_DAMAGED, "")

    def pictures_damaged(self, paths: Sequence[str]) -> None:
        """Report pictures that are not what was written: an incident that ends as it begins."""
        if paths:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            self.database_replaced(f"the picture {paths[0]}{more} is damaged, and not sent")

    def _backlog_reason(self, store: Store, deliveries: Iterable[OutboxDelivery]) -> str:
        late = []
        for delivery in deliveries:
            backlog = store.outbox.backlog(delivery.sink.name)
            if backlog.oldest is None or self._paused_lately(delivery.sink):
                continue
            if _overdue(backlog, delivery.sink, self._clock.now()) > _BACKLOG_AFTER.total_seconds():
                late.append(f"{delivery.sink.name}: {backlog.pending} alerts wait for delivery")
        return "; ".join(late)

    def _paused_lately(self, sink: Sink) -> bool:
        """Return whether the sink paused on purpose: what gathers in quiet hours is no backlog."""
        now = self._clock.monotonic()
        if sink.paused:
            self._paused_at[sink.name] = now
        return now - self._paused_at.get(sink.name, -math.inf) < _BACKLOG_AFTER.total_seconds()

    def _set(self, kind: IncidentKind, reason: str) -> None:
        if reason:
            self._incidents.open(kind, "", reason, self._clock.now())
        else:
            self._incidents.close(kind, "", self._clock.now())


def _disk_reason(store: Store, unstored: UnstoredBuffer, trouble: str) -> str:
    lack = store.reserve.take_shortage()
    if unstored:
        full = lack or "the disk is full"
        return f"{_REASONS.get(trouble, full)}: alerts are held in memory only"
    if lack:
        return f"{lack}: pictures are not stored"
    if not store.reserve.complete:
        return "the disk is nearly full: there is no space for the reserve, pictures are not stored"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """Observes the parts of the recorder, and reports to the supervisor."""

    meter: Meter
    clock: Clock
    recording: Recording
    deliveries: SinkDeliveries
    reports: SupervisorReports
    incidents: IncidentDetector
    _sinks: list[SinkStatus] = field(default_factory=list)

    def beat(self) -> None:
        self.reports.trouble = self.recording.intake.trouble
        self.reports.received = self.recording.workers.received
        self.reports.heartbeat()

    def measure(self) -> None:
        recording = self.recording
        with recording.guard.postponing_errors():
            store, unstored = recording.guard.store, recording.unstored
            self.incidents.update(store, self.deliveries, unstored, recording.intake.trouble)
            self.incidents.pictures_damaged(store.pictures.take_damaged())
            self._set_gauges(store)
        self.reports.metrics(self.meter.snapshot())
        self.reports.sinks_changed(self._sinks)

    def _set_gauges(self, store: Store) -> None:
        state, snoozes = self.recording.state, self.recording.snoozes
        self.meter.set(catalogue.ALERTS_UNSTORED, len(self.recording.unstored))
        self._set_store_gauges(store)
        counts = Counter(incident.kind for incident in state.open_incidents)
        for kind in IncidentKind:
            self.meter.set(catalogue.INCIDENTS_OPEN, counts[kind], {"kind": kind.value})
        self._sinks[:] = [self._measure_sink(store, each.sink) for each in self.deliveries]
        for camera in state.cameras:
            snoozed = float(snoozes.is_snoozed(camera))
            self.meter.set(catalogue.CAMERA_SNOOZED, snoozed, {"camera": camera})

    def _set_store_gauges(self, store: Store) -> None:
        sizes = {
            "database": store.database.used_bytes(),
            "wal": _size(store.data_dir.database.with_name("maskwatch.db-wal")),
            "pictures": store.database.picture_bytes(),
        }
        for part, size in sizes.items():
            self.meter.set(catalogue.STORE_BYTES, size, {"part": part})
        self.meter.set(catalogue.STORE_FREE_BYTES, free_bytes(store.data_dir.path))
        inodes = free_inodes(store.data_dir.path)
        if inodes is not None:
            self.meter.set(catalogue.STORE_FREE_INODES, inodes)
        self.meter.set(catalogue.STORE_RESERVE_BYTES, store.reserve.size)

    def _measure_sink(self, store: Store, sink: Sink) -> SinkStatus:
        """Set the gauges of a sink, and return its state."""
        labels = {"sink": sink.name}
        self.meter.set(catalogue.SINK_READY, float(sink.ready), labels)
        backlog = store.outbox.backlog(sink.name)
        self.meter.set(catalogue.OUTBOX_PENDING, backlog.pending, labels)
        self.meter.set(catalogue.OUTBOX_PARKED, backlog.parked, labels)
        overdue = _overdue(backlog, sink, self.clock.now())
        self.meter.set(catalogue.OUTBOX_OLDEST_SECONDS, overdue, labels)
        reasons, newest = store.outbox.parked_reasons(sink.name)
        for reason in ParkedReason:
            of_reason = {**labels, "reason": reason.value}
            self.meter.set(catalogue.OUTBOX_PARKED_REASONS, reasons.get(reason, 0), of_reason)
        return SinkStatus(sink.name, sink.ready, backlog.pending, backlog.parked, newest, sink.reason)


def _overdue(backlog: Backlog, sink: Sink, now: datetime) -> float:
    """Return for how many seconds the oldest delivery has waited that need not wait."""
    if backlog.oldest is None:
        return 0.0
    return max(0.0, (now - backlog.oldest).total_seconds() - sink.unacknowledged_for)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
