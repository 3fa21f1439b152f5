"""The states of a camera."""

from __future__ import annotations

from dataclasses import dataclass
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
class CameraStatus:
    """A camera's state, why, and since when (UTC). `reason` holds no secret.

    `overload`: how few of the due frames were analysed in the last minute, in words; "" if enough were.
    """

    camera: str
    state: CameraState
    reason: str
    since: datetime
    overload: str = ""
