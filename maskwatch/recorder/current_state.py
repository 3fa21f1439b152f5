"""What stands now, for sinks that show it after every connect; may be read from any thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from threading import Lock
from uuid import UUID

from maskwatch.alerts.sink import StateSnapshot
from maskwatch.domain import CameraStatus, Change, Incident, OccupancyMinute, Snooze
from maskwatch.store.database import Store

__all__ = ["CurrentState", "load_current_state"]

_MOST_ACKNOWLEDGED = 1000
_MOST_UNACKNOWLEDGED = 1000
_REMEMBERED = timedelta(days=1)  # for so long channels may wait for an acknowledgement


class CurrentState:
    """Camera states, open violations and incidents, and the newest counts."""

    def __init__(
        self,
        changes: Iterable[Change] = (),
        incidents: Iterable[Incident] = (),
        occupancy: Mapping[str, OccupancyMinute] | None = None,
        *,
        silenced: Iterable[UUID] = (),
        acknowledged: Iterable[UUID] = (),
        unacknowledged: Iterable[Change] = (),
    ) -> None:
        self._lock = Lock()
        self._cameras: dict[str, CameraStatus] = {}
        self._changes: dict[UUID, Change] = {change.violation.id: change for change in changes}
        self._incidents: dict[UUID, Incident] = {incident.id: incident for incident in incidents}
        self._occupancy = dict(occupancy or {})
        self._acknowledged: OrderedDict[UUID, None] = OrderedDict.fromkeys(acknowledged)
        self._unacknowledged = OrderedDict((each.violation.id, each) for each in unacknowledged)
        self._silenced = set(silenced)
        self._snoozes: dict[str, Snooze] = {}

    def camera(self, status: CameraStatus) -> None:
        """Take over a camera's state."""
        with self._lock:
            self._cameras[status.camera] = status

    def keep_cameras(self, names: Collection[str]) -> None:
        """Forget cameras that are configured no longer."""
        with self._lock:
            for name in self._cameras.keys() - set(names):
                del self._cameras[name]
            for name in self._occupancy.keys() - set(names):
                del self._occupancy[name]
            for name in self._snoozes.keys() - set(names):
                del self._snoozes[name]

    def minute(self, minute: OccupancyMinute) -> None:
        """Take over a count, unless a newer one of the camera is known."""
        with self._lock:
            known = self._occupancy.get(minute.camera)
            if known is None or known.minute <= minute.minute:
                self._occupancy[minute.camera] = minute

    def subject(self, subject: Change | Incident, *, silent: bool = False) -> None:
        """Take over a recorded change; `silent`: nobody is told of it."""
        with self._lock:
            if isinstance(subject, Change):
                self._violation(subject, silent=silent)
            else:
                self._incident(subject)

    def snooze(self, snooze: Snooze) -> None:
        """Take over a snooze that began; one that ended has what is open told again."""
        with self._lock:
            self._snoozes[snooze.camera] = snooze
            if snooze.until is None:
                told = {
                    key for key, row in self._changes.items() if row.violation.camera == snooze.camera
                }
                self._silenced -= told

    def acknowledge(self, violation: UUID) -> None:
        """Note that somebody has acknowledged a violation; the newest thousand are kept."""
        with self._lock:
            self._acknowledged[violation] = None
            self._unacknowledged.pop(violation, None)
            if len(self._acknowledged) > _MOST_ACKNOWLEDGED:
                self._acknowledged.popitem(last=False)

    def _violation(self, change: Change, *, silent: bool) -> None:
        violation = change.violation
        if change.number == 1:
            self._expect_notice(change)
        known = self._changes.get(violation.id)
        if known is not None and known.number > change.number:
            return
        if violation.ended is None:
            self._changes[violation.id] = change
            if silent:
                self._silenced.add(violation.id)
            return
        self._changes.pop(violation.id, None)
        if violation.id in self._silenced:  # it is over, and nobody will ever be told of it
            self._silenced.remove(violation.id)
            self._unacknowledged.pop(violation.id, None)

    def _expect_notice(self, change: Change) -> None:
        self._unacknowledged[change.violation.id] = change
        if len(self._unacknowledged) > _MOST_UNACKNOWLEDGED:
            self._unacknowledged.popitem(last=False)

    def _incident(self, incident: Incident) -> None:
        known = self._incidents.get(incident.id)
        if known is not None and known.number > incident.number:
            return
        if incident.ended is None:
            self._incidents[incident.id] = incident
        else:
            self._incidents.pop(incident.id, None)

    @property
    def open_violations(self) -> list[Change]:
        """The newest change of every violation that has not ended."""
        with self._lock:
            return list(self._changes.values())

    @property
    def open_incidents(self) -> list[Incident]:
        """The incidents that have not ended."""
        with self._lock:
            return list(self._incidents.values())

    def state(self) -> StateSnapshot:
        """Return everything as it stands."""
        with self._lock:
            return StateSnapshot(
                tuple(self._cameras.values()),
                tuple(self._changes.values()),
                tuple(self._incidents.values()),
                dict(self._occupancy),
                frozenset(self._acknowledged),
                frozenset(self._silenced),
                tuple(self._snoozes.values()),
                tuple(c for c in self._unacknowledged.values() if c.violation.id not in self._silenced),
            )


def load_current_state(store: Store, cameras: Collection[str], now: datetime) -> CurrentState:
    """Return what the database says stands."""
    return CurrentState(
        store.open_changes(),
        store.open_incidents(),
        store.newest_minutes(cameras),
        silenced=[each.id for each in store.settled() if each.silent],
        acknowledged=store.acknowledged_open(),
        unacknowledged=store.unacknowledged(now - _REMEMBERED),
    )
