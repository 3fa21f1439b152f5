"""The states of a camera."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

OVERLOADED_BELOW = 0.75
"""Share of a camera's due frames; one of which fewer are analysed is overloaded."""


class CameraState(StrEnum):
    """The state of a camera's connection."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    BACKOFF = "backoff"
    DISABLED = "disabled"
    BLIND = "blind"
    QUARANTINED = "quarantined"


class BlindReason(StrEnum):
    """Why a live picture is unusable."""

    BLACK = "black"
    FROZEN = "frozen"
    COVERED = "covered"
    OUT_OF_FOCUS = "out_of_focus"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class ReportedState:
    """The state of a camera's connection, as its processes report it to each other.

    Attributes:
        state: of the connection.
        reason: why, in words; holds no secret. For BLIND a `BlindReason`.
        since: when this state began (UTC).
        overload: how few due frames were analysed in the last minute, in words; "" if enough were.
    """

    state: CameraState
    reason: str
    since: datetime
    overload: str = field(default="", kw_only=True)


@dataclass(frozen=True, slots=True)
class CameraStatus(ReportedState):
    """The state of the camera with this name."""

    camera: str
