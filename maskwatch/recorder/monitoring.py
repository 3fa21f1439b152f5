"""Trouble of the recorder's own that people must hear about: backlog, disk. Once, and its end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

from maskwatch.alerts.sink import Sink
from maskwatch.clock import Clock
from maskwatch.domain import Incident, IncidentKind, OpenIncidents
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.delivery import OutboxDelivery
from maskwatch.recorder.snoozes import SnoozeManager
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.store.database import Store
from maskwatch.store.files import free_bytes
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

__all__ = ["IncidentDetector", "RecorderMetrics"]


class RecorderMetrics:
    """Sets the gauges of the meter."""

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self._meter = meter
        self._clock = clock

    def update(
        self,
        store: Store,
        couriers: Iterable[OutboxDelivery],
        memory: UnstoredBuffer,
        standing: CurrentState,
    ) -> None:
        """Measure everything anew.

        Raises:
            StoreError: the database cannot be read now.

        """
        self._meter.set(catalogue.ALERTS_UNSTORED, len(memory))
        self._space(store)
        self._incidents(standing)
        for courier in couriers:
            self._sink(store, courier)

    def snoozes(self, silence: SnoozeManager, cameras: Iterable[str]) -> None:
        """Say of each camera whether it is snoozed."""
        for camera in cameras:
            snoozed = float(silence.snoozed(camera))
            self._meter.set(catalogue.CAMERA_SNOOZED, snoozed, {"camera": camera})

    def _sink(self, store: Store, courier: OutboxDelivery) -> None:
        labels = {"sink": courier.sink.name}
        self._meter.set(catalogue.SINK_READY, float(courier.sink.ready), labels)
        state = store.backlog(courier.sink.name)
        age = (self._clock.now() - state.oldest).total_seconds() if state.oldest else 0.0
        self._meter.set(catalogue.OUTBOX_PENDING, state.pending, labels)
        self._meter.set(catalogue.OUTBOX_PARKED, state.parked, labels)
        self._meter.set(catalogue.OUTBOX_OLDEST_SECONDS, max(0.0, age), labels)

    def _space(self, store: Store) -> None:
        sizes = {
            "database": store.used_bytes(),
            "wal": _size(store.place.database.with_name("maskwatch.db-wal")),
            "pictures": store.picture_bytes(),
        }
        for part, size in sizes.items():
            self._meter.set(catalogue.STORE_BYTES, size, {"part": part})
        self._meter.set(catalogue.STORE_FREE_BYTES, free_bytes(store.place.path))
        self._meter.set(catalogue.STORE_RESERVE_BYTES, store.reserve.size)

    def _incidents(self, standing: CurrentState) -> None:
        open_now = Counter(incident.kind for incident in standing.open_incidents)
        for kind in IncidentKind:
            self._meter.set(catalogue.INCIDENTS_OPEN, open_now[kind], {"kind": kind.value})


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


_BACKLOG_AFTER = timedelta(minutes=5)
_WHY = {
    "full": "the disk is full",
    "locked": "another program keeps the database locked",
    "io": "the database cannot be written",
}
_DETECTED = frozenset({IncidentKind.BACKLOG, IncidentKind.DISK})


class IncidentDetector:
    """Opens an incident when a trouble begins and closes it when it is over.

    Args:
        clock: for the times of incidents.
        changed: called with every incident that is opened or closed.
        known: incidents that a recorder before this one, in the same run of the daemon, left open.

    """

    def __init__(
        self, clock: Clock, changed: Callable[[Incident], None], known: Iterable[Incident] = ()
    ) -> None:
        self._clock = clock
        self._incidents = OpenIncidents(changed, [each for each in known if each.kind in _DETECTED])
        self._held: dict[str, float] = {}

    def look(
        self, store: Store, couriers: Iterable[OutboxDelivery], memory: UnstoredBuffer, trouble: str
    ) -> None:
        """Compare what is with what was; `trouble` is `Intake.trouble`.

        Raises:
            StoreError: the database cannot be read now.

        """
        self._update(IncidentKind.DISK, _disk(store, memory, trouble))
        self._update(IncidentKind.BACKLOG, self._backlog(store, couriers))

    def database_replaced(self, reason: str) -> None:
        """Report a damaged database that was replaced: an incident that ends as it begins."""
        now = self._clock.now()
        self._incidents.open(IncidentKind.STORE_DAMAGED, "", reason, now)
        self._incidents.close(IncidentKind.STORE_DAMAGED, "", now)

    def _backlog(self, store: Store, couriers: Iterable[OutboxDelivery]) -> str:
        late = []
        for courier in couriers:
            state = store.backlog(courier.sink.name)
            if state.oldest is None or self._held_lately(courier.sink):
                continue
            if self._clock.now() - state.oldest > _BACKLOG_AFTER:
                late.append(f"{courier.sink.name}: {state.pending} alerts wait for delivery")
        return "; ".join(late)

    def _held_lately(self, sink: Sink) -> bool:
        """Return whether it held back on purpose, now or a moment ago: quiet hours are no trouble."""
        now = self._clock.monotonic()
        if sink.paused:
            self._held[sink.name] = now
        return now - self._held.get(sink.name, -math.inf) < _BACKLOG_AFTER.total_seconds()

    def _update(self, kind: IncidentKind, reason: str) -> None:
        """Open or close the incident; `reason` is "" while there is no trouble of this kind."""
        now = self._clock.now()
        if reason:
            self._incidents.open(kind, "", reason, now)
        else:
            self._incidents.close(kind, "", now)


def _disk(store: Store, memory: UnstoredBuffer, trouble: str) -> str:
    if memory:
        return f"{_WHY.get(trouble, _WHY['full'])}: alerts are held in memory only"
    if not store.reserve.whole:
        return "the disk is nearly full: there is no space for the reserve, pictures are not stored"
    return ""
