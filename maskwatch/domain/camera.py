"""The states of a camera and of trouble that is not about a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

__all__ = ["BlindReason", "CameraState", "CameraStatus", "Incident", "IncidentKind"]


class CameraState(StrEnum):
    """Where a camera's connection stands."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    BACKOFF = "backoff"
    DISABLED = "disabled"
    BLIND = "blind"
    QUARANTINED = "quarantined"


class BlindReason(StrEnum):
    """Why a live picture shows nothing of use."""

    BLACK = "black"
    FROZEN = "frozen"
    COVERED = "covered"
    OUT_OF_FOCUS = "out_of_focus"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """A camera's state, why, and since when (UTC). `reason` holds no secret."""

    camera: str
    state: CameraState
    reason: str
    since: datetime


class IncidentKind(StrEnum):
    """Trouble that people must hear about."""

    CAMERA_OFFLINE = "camera_offline"
    CAMERA_BLIND = "camera_blind"
    QUARANTINE = "quarantine"
    BACKLOG = "backlog"
    DISK = "disk"
    STORE_DAMAGED = "store_damaged"


@dataclass(frozen=True, slots=True)
class Incident:
    """One piece of trouble, open until `ended`; its alert id is `id:number` as for violations."""

    id: UUID
    number: int
    kind: IncidentKind
    camera: str
    reason: str
    started: datetime
    ended: datetime | None
