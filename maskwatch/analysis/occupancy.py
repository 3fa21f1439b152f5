"""Counts people, not frames: per zone and minute, by what is known of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from maskwatch.domain import OccupancyMinute, Verdict

__all__ = ["Occupancy"]


@dataclass(slots=True)
class _Tally:
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    peak: int = 0


class Occupancy:
    """Gathers the present minute of one camera."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._minute: datetime | None = None
        self._zones: dict[str, _Tally] = {}

    def count(self, people: dict[int, tuple[str, Verdict]], at: datetime) -> list[OccupancyMinute]:
        """Take in who is in view `at` (UTC); return the minute that ended with it, by zone.

        Args:
            people: per track number the zone and what is known of the person.
            at: capture time; one that goes back counts into the present minute.

        """
        done = self._turn(at)
        present: dict[str, int] = {}
        for number, (zone, verdict) in people.items():
            self._zones.setdefault(zone, _Tally()).verdicts[number] = verdict
            present[zone] = present.get(zone, 0) + 1
        for zone, number in present.items():
            self._zones[zone].peak = max(self._zones[zone].peak, number)
        return done

    def close(self) -> list[OccupancyMinute]:
        """Return what the unfinished minute holds, and forget it."""
        done = [self._row(zone, tally) for zone, tally in sorted(self._zones.items())]
        self._zones = {}
        return done

    def _turn(self, at: datetime) -> list[OccupancyMinute]:
        minute = at.replace(second=0, microsecond=0)
        if self._minute is not None and minute <= self._minute:
            return []
        done = self.close() if self._minute is not None else []
        self._minute = minute
        return done

    def _row(self, zone: str, tally: _Tally) -> OccupancyMinute:
        assert self._minute is not None
        known = list(tally.verdicts.values())
        unknown = known.count(Verdict.UNKNOWN)
        return OccupancyMinute(
            camera=self._camera,
            zone=zone,
            minute=self._minute,
            seen=len(known),
            judged=len(known) - unknown,
            masked=known.count(Verdict.MASK),
            unmasked=known.count(Verdict.NO_MASK),
            incorrect=known.count(Verdict.INCORRECT),
            unknown=unknown,
            peak=tally.peak,
        )
