"""Measures what the recorder answers for: the backlog, the space, what is open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from maskwatch.clock import Clock
from maskwatch.domain import IncidentKind
from maskwatch.recorder.courier import Courier
from maskwatch.recorder.memory import Memory
from maskwatch.recorder.silence import Silence
from maskwatch.recorder.standing import Standing
from maskwatch.store.database import Store
from maskwatch.store.files import free_bytes
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

__all__ = ["Gauges"]


class Gauges:
    """Sets the gauges of the meter."""

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self._meter = meter
        self._clock = clock

    def update(
        self, store: Store, couriers: Iterable[Courier], memory: Memory, standing: Standing
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

    def snoozes(self, silence: Silence, cameras: Iterable[str]) -> None:
        """Say of each camera whether it is snoozed."""
        for camera in cameras:
            snoozed = float(silence.snoozed(camera))
            self._meter.set(catalogue.CAMERA_SNOOZED, snoozed, {"camera": camera})

    def _sink(self, store: Store, courier: Courier) -> None:
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

    def _incidents(self, standing: Standing) -> None:
        open_now = Counter(incident.kind for incident in standing.open_incidents)
        for kind in IncidentKind:
            self._meter.set(catalogue.INCIDENTS_OPEN, open_now[kind], {"kind": kind.value})


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
