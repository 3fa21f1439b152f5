"""Trouble of the recorder's own that people must hear about: backlog, disk. Once, and its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

from maskwatch.alerts.sink import Sink
from maskwatch.clock import Clock
from maskwatch.domain import Incident, IncidentKind, LiveIds
from maskwatch.recorder.courier import Courier
from maskwatch.recorder.memory import Memory
from maskwatch.store.database import Store

__all__ = ["Worries"]

_BACKLOG_AFTER = timedelta(minutes=5)
_WHY = {
    "full": "the disk is full",
    "locked": "another program keeps the database locked",
    "io": "the database cannot be written",
}
_OURS = frozenset({IncidentKind.BACKLOG, IncidentKind.DISK})


class Worries:
    """Opens an incident when a trouble begins and closes it when it is over.

    `known` are incidents that a recorder before this one, in the same run of the daemon, left open.
    """

    def __init__(
        self, clock: Clock, tell: Callable[[Incident], None], known: Iterable[Incident] = ()
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._open = {each.kind: each for each in known if each.kind in _OURS}
        self._held: dict[str, float] = {}

    def look(self, store: Store, couriers: Iterable[Courier], memory: Memory, trouble: str) -> None:
        """Compare what is with what was; `trouble` is `Intake.trouble`.

        Raises:
            StoreError: the database cannot be read now.

        """
        self._state(IncidentKind.DISK, _disk(store, memory, trouble))
        self._state(IncidentKind.BACKLOG, self._backlog(store, couriers))

    def _backlog(self, store: Store, couriers: Iterable[Courier]) -> str:
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
        if sink.holding:
            self._held[sink.name] = now
        return now - self._held.get(sink.name, -math.inf) < _BACKLOG_AFTER.total_seconds()

    def _state(self, kind: IncidentKind, reason: str) -> None:
        known = self._open.get(kind)
        if reason and known is None:
            self._begin(kind, reason)
        elif not reason and known is not None:
            del self._open[kind]
            self._tell(replace(known, number=known.number + 1, ended=self._clock.now()))

    def _begin(self, kind: IncidentKind, reason: str) -> None:
        now = self._clock.now()
        incident = Incident(LiveIds().next(now), 1, kind, "", reason, now, None)
        self._open[kind] = incident
        self._tell(incident)


def _disk(store: Store, memory: Memory, trouble: str) -> str:
    if memory:
        return f"{_WHY.get(trouble, _WHY['full'])}: alerts are held in memory only"
    if not store.reserve.whole:
        return "the disk is nearly full: there is no space for the reserve, pictures are not stored"
    return ""
