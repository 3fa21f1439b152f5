"""Incidents: trouble that is not about a person, from its beginning to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from maskwatch.domain.ids import LiveIds


class IncidentKind(StrEnum):
    """What is wrong."""

    CAMERA_OFFLINE = "camera_offline"
    CAMERA_BLIND = "camera_blind"
    OVERLOADED = "overloaded"
    QUARANTINE = "quarantine"
    BACKLOG = "backlog"
    DISK = "disk"
    STORE_DAMAGED = "store_damaged"
    UNAVAILABLE = "unavailable"
    WORKER_MISBEHAVED = "worker_misbehaved"


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident, open until `ended`; its alert id is `id:number`, as for violations."""

    id: UUID
    number: int
    kind: IncidentKind
    camera: str
    reason: str
    started: datetime
    ended: datetime | None


class OpenIncidents:
    """Opens, numbers and closes incidents; at most one of each kind is open for each camera.

    A kind that concerns no camera has the camera "". Times are UTC.

    Args:
        changed: called with every incident that is opened or closed.
        already_open: incidents of an earlier process that are to be closed here.
    """

    def __init__(
        self, changed: Callable[[Incident], None], already_open: Iterable[Incident] = ()
    ) -> None:
        self._changed = changed
        self._ids = LiveIds()
        self._open = {(incident.kind, incident.camera): incident for incident in already_open}

    @property
    def all(self) -> tuple[Incident, ...]:
        """The open incidents, oldest first."""
        return tuple(self._open.values())

    def open(self, kind: IncidentKind, camera: str, reason: str, at: datetime) -> None:
        """Open an incident, unless one of this kind is open for the camera."""
        if (kind, camera) not in self._open:
            incident = Incident(self._ids.next(at), 1, kind, camera, reason, at, None)
            self._open[kind, camera] = incident
            self._changed(incident)

    def close(self, kind: IncidentKind, camera: str, at: datetime) -> None:
        """Close the incident of this kind and camera, if one is open."""
        incident = self._open.pop((kind, camera), None)
        if incident is not None:
            self._changed(replace(incident, number=incident.number + 1, ended=at))
