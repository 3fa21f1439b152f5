"""Incidents of cameras: each opens after its trouble has lasted a set time, and closes with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from maskwatch.config.schema import SupervisionConfig
from maskwatch.domain import CameraState, CameraStatus, Incident, IncidentKind, OpenIncidents

_MAX_CLOSED = 200
_CONNECTED = frozenset({CameraState.LIVE, CameraState.BLIND})


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """A camera's status, and what is wrong with its worker.

    Attributes:
        on_probation: whether the worker is in quarantine, or has just come out of it.
        misbehaviour: how the worker violated the protocol lately, "" if it did not.
    """

    status: CameraStatus
    on_probation: bool
    misbehaviour: str = ""


class IncidentTracker:
    """Decides when a camera's trouble is an incident; times are monotonic seconds and UTC.

    `changed` is called with every incident that is opened or closed.
    """

    def __init__(self, changed: Callable[[Incident], None]) -> None:
        self._changed = changed
        self._incidents = OpenIncidents(self._incident_changed)
        self._troubled_since: dict[tuple[IncidentKind, str], float] = {}
        self._closed: deque[Incident] = deque(maxlen=_MAX_CLOSED)

    @property
    def open(self) -> tuple[Incident, ...]:
        return self._incidents.all

    @property
    def recent(self) -> tuple[Incident, ...]:
        """The incidents that ended lately, each as opened and as closed, then the open ones.

        They are for a new recorder: an incident may open and end before there is one.
        """
        opened = (replace(incident, number=1, ended=None) for incident in self._closed)
        closed = (each for pair in zip(opened, self._closed, strict=True) for each in pair)
        return (*closed, *self._incidents.all)

    def update(
        self,
        cameras: Iterable[CameraHealth],
        config: SupervisionConfig,
        now: float,
        at: datetime,
        missing: str = "",
    ) -> None:
        """Open and close incidents by the state of `cameras`, which are all that are configured.

        `missing`: what the daemon needs and does not have yet, "" if nothing.
        """
        self._update_missing(missing, config, now, at)
        configured = {""}
        for health in cameras:
            camera = health.status.camera
            configured.add(camera)
            for kind, troubled, after in _troubles(health, config):
                if troubled:
                    since = self._troubled_since.setdefault((kind, camera), now)
                    if now - since >= after:
                        self._incidents.open(kind, camera, _reason(kind, health), at)
                else:
                    self._end(kind, camera, at)
        for kind, camera in list(self._troubled_since):
            if camera not in configured:
                self._end(kind, camera, at)

    def _update_missing(self, missing: str, config: SupervisionConfig, now: float, at: datetime) -> None:
        kind = IncidentKind.UNAVAILABLE
        if not missing:
            self._end(kind, "", at)
        elif now - self._troubled_since.setdefault((kind, ""), now) >= config.offline_after:
            self._incidents.open(kind, "", missing, at)

    def _end(self, kind: IncidentKind, camera: str, at: datetime) -> None:
        self._troubled_since.pop((kind, camera), None)
        self._incidents.close(kind, camera, at)

    def _incident_changed(self, incident: Incident) -> None:
        if incident.ended is not None:
            self._closed.append(incident)
        self._changed(incident)


def _troubles(
    health: CameraHealth, config: SupervisionConfig
) -> tuple[tuple[IncidentKind, bool, float], ...]:
    """Return each kind, whether the camera has this trouble, and the seconds until it counts."""
    state = health.status.state
    enabled = state is not CameraState.DISABLED
    offline = enabled and state not in _CONNECTED and not health.on_probation
    return (
        (IncidentKind.CAMERA_OFFLINE, offline, config.offline_after),
        (IncidentKind.CAMERA_BLIND, state is CameraState.BLIND, config.blind_after),
        (IncidentKind.OVERLOADED, enabled and bool(health.status.overload), 0.0),
        (IncidentKind.QUARANTINE, enabled and health.on_probation, 0.0),
        (IncidentKind.WORKER_MISBEHAVED, enabled and bool(health.misbehaviour), 0.0),
    )


def _reason(kind: IncidentKind, health: CameraHealth) -> str:
    if kind is IncidentKind.WORKER_MISBEHAVED:
        return f"its process {health.misbehaviour}"
    if kind is IncidentKind.OVERLOADED:
        return health.status.overload
    return health.status.reason
