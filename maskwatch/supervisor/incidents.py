"""Trouble that people must hear about: begins after a set time, has an id, is told once, and ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from maskwatch.config.schema import SupervisionConfig
from maskwatch.domain import (
    CameraState,
    CameraStatus,
    IdSource,
    Incident,
    IncidentKind,
)

__all__ = ["CameraHealth", "IncidentTracker"]

_KEPT = 200
# In these states nobody is to be told: the camera is watched, or is not meant to be.
_SEEING = frozenset({CameraState.LIVE, CameraState.BLIND})


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """What is known of a camera now; `distrusted`: its worker is, or has just been, in quarantine."""

    status: CameraStatus
    distrusted: bool


class IncidentTracker:
    """Opens and closes incidents; times are monotonic seconds and UTC, given by the caller.

    Args:
        ids: gives the id of the next incident.
        tell: called with every incident that began or ended.

    """

    def __init__(self, ids: IdSource, tell: Callable[[Incident], None]) -> None:
        self._ids = ids
        self._tell = tell
        self._since: dict[tuple[str, IncidentKind], float] = {}
        self._open: dict[tuple[str, IncidentKind], Incident] = {}
        self._ended: deque[Incident] = deque(maxlen=_KEPT)

    @property
    def open(self) -> tuple[Incident, ...]:
        """What has not ended."""
        return tuple(self._open.values())

    @property
    def known(self) -> tuple[Incident, ...]:
        """What has ended lately, and what is open: for a recorder that is new."""
        return (*self._ended, *self._open.values())

    def look(
        self, sights: Iterable[CameraHealth], config: SupervisionConfig, now: float, at: datetime
    ) -> None:
        """Compare with how the cameras are; those not among `sights` are configured no longer."""
        seen: set[str] = set()
        for sight in sights:
            camera, state = sight.status.camera, sight.status.state
            seen.add(camera)
            disabled = state is CameraState.DISABLED
            lost = not disabled and state not in _SEEING and not sight.distrusted
            blind = state is CameraState.BLIND
            quarantined = sight.distrusted and not disabled
            for kind, wrong, patience in (
                (IncidentKind.CAMERA_OFFLINE, lost, config.offline_after),
                (IncidentKind.CAMERA_BLIND, blind, config.blind_after),
                (IncidentKind.QUARANTINE, quarantined, 0.0),
            ):
                key = (camera, kind)
                if wrong:
                    self._trouble(key, sight.status.reason, patience, now, at)
                else:
                    self._well(key, at)
        for key in [key for key in self._since if key[0] not in seen]:
            self._well(key, at)

    def _trouble(
        self, key: tuple[str, IncidentKind], reason: str, patience: float, now: float, at: datetime
    ) -> None:
        since = self._since.setdefault(key, now)
        if key in self._open or now - since < patience:
            return
        camera, kind = key
        incident = Incident(self._ids.next(at), 1, kind, camera, reason, at, None)
        self._open[key] = incident
        self._tell(incident)

    def _well(self, key: tuple[str, IncidentKind], at: datetime) -> None:
        self._since.pop(key, None)
        incident = self._open.pop(key, None)
        if incident is not None:
            ended = replace(incident, number=incident.number + 1, ended=at)
            self._ended.append(ended)
            self._tell(ended)
