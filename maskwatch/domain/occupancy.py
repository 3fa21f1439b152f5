"""People counted per camera, zone and minute: small rows that outlive the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class OccupancyMinute:
    """Counts of people (tracks), not of frames, whose visit touched this minute.

    `minute` is the start of the minute (UTC). Each person counts once per minute and zone:
    seen >= judged = masked + unmasked + incorrect; unknown = seen - judged. `peak` is the largest
    number in view at the same time.
    """

    camera: str
    zone: str
    minute: datetime
    seen: int
    judged: int
    masked: int
    unmasked: int
    incorrect: int
    unknown: int
    peak: int
