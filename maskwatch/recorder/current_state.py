"""The current state, which sinks publish after every connect; may be read from any thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from threading import Lock
from uuid import UUID

from maskwatch.alerts.sink import StateSnapshot
from maskwatch.domain import CameraStatus, Change, Incident, OccupancyMinute, Snooze
from maskwatch.store.store import Store

_MAX_ACKNOWLEDGED = 1000


class CurrentState:
    """Camera states, open violations and incidents, and the newest counts."""

    def __init__(
        self,
        changes: Iterable[Change] = (),
        incidents: Iterable[Incident] = (),
        occupancy: Mapping[str, OccupancyMinute] | None = None,
        *,
        cameras: Collection[str] = (),
        silenced: Iterable[UUID] = (),
        acknowledged: Iterable[UUID] = (),
    ) -> None:
        self.cameras = frozenset(cameras)
        self._lock = Lock()
        self._statuses: dict[str, CameraStatus] = {}
        self._changes: dict[UUID, Change] = {change.violation.id: change for change in changes}
        self._incidents: dict[UUID, Incident] = {incident.id: incident for incident in incidents}
        self._occupancy = dict(occupancy or {})
        self._acknowledged: OrderedDict[UUID, None] = OrderedDict.fromkeys(acknowledged)
        self._silenced = set(silenced)
        self._snoozes: dict[str, Snooze] = {}

    def update_camera(self, status: CameraStatus) -> None:
        with self._lock:
            self._statuses[status.camera] = status

    def configure_cameras(self, names: Collection[str]) -> None:
        """Set the configured cameras, and forget all others."""
        self.cameras = frozenset(names)
        with self._lock:
            for name in self._statuses.keys() - self.cameras:
                del self._statuses[name]
            for name in self._occupancy.keys() - self.cameras:
                del self._occupancy[name]
            for name in self._snoozes.keys() - self.cameras:
                del self._snoozes[name]

    def update_minute(self, minute: OccupancyMinute) -> None:
        """Set a camera's newest count; an older one is ignored."""
        with self._lock:
            newest = self._occupancy.get(minute.camera)
            if newest is None or newest.minute <= minute.minute:
                self._occupancy[minute.camera] = minute

    def update_subject(self, subject: Change | Incident, *, silent: bool = False) -> None:
        """Apply a recorded change; `silent`: no alert of it is sent."""
        with self._lock:
            if isinstance(subject, Change):
                self._update_violation(subject, silent=silent)
            else:
                self._update_incident(subject)

    def update_snooze(self, snooze: Snooze) -> None:
        """Set a camera's snooze; its end (`until` None) releases the camera's open violations."""
        with self._lock:
            self._snoozes[snooze.camera] = snooze
            if snooze.until is None:
                self._silenced -= {
                    key
                    for key, change in self._changes.items()
                    if change.violation.camera == snooze.camera
                }

    def acknowledge(self, violation: UUID) -> None:
        """Record that a violation was acknowledged; the newest thousand are kept."""
        with self._lock:
            self._acknowledged[violation] = None
            if len(self._acknowledged) > _MAX_ACKNOWLEDGED:
                self._acknowledged.popitem(last=False)

    def _update_violation(self, change: Change, *, silent: bool) -> None:
        violation = change.violation
        newest = self._changes.get(violation.id)
        if newest is not None and newest.number > change.number:
            return
        if violation.ended is None:
            self._changes[violation.id] = change
            if silent:
                self._silenced.add(violation.id)
            return
        self._changes.pop(violation.id, None)
        self._silenced.discard(violation.id)

    def _update_incident(self, incident: Incident) -> None:
        newest = self._incidents.get(incident.id)
        if newest is not None and newest.number > incident.number:
            return
        if incident.ended is None:
            self._incidents[incident.id] = incident
        else:
            self._incidents.pop(incident.id, None)

    @property
    def open_violations(self) -> list[Change]:
        with self._lock:
            return list(self._changes.values())

    @property
    def open_incidents(self) -> list[Incident]:
        with self._lock:
            return list(self._incidents.values())

    def snapshot(self) -> StateSnapshot:
        with self._lock:
            return StateSnapshot(
                tuple(self._statuses.values()),
                tuple(self._changes.values()),
                tuple(self._incidents.values()),
                dict(self._occupancy),
                frozenset(self._acknowledged),
                frozenset(self._silenced),
                tuple(self._snoozes.values()),
            )


def load_current_state(store: Store, cameras: Collection[str]) -> CurrentState:
    return CurrentState(
        store.state.open_changes(),
        store.state.open_incidents(),
        store.state.newest_minutes(cameras),
        cameras=cameras,
        silenced=[violation.id for violation in store.state.open_violations() if violation.silent],
        acknowledged=store.acknowledgements.of_open_violations(),
    )
