"""Sets alerts against the ground truth: was each visit without a mask reported, once, and no other?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from maskwatch.lab.evaluation.rules import Duty, ExpectedEvent

__all__ = ["Account", "DueVisit", "ReportedVisit", "balance", "due_visits"]

# An alert may be about a visit from the moment its face was to be seen until it was gone; capture
# stamps a frame on arrival, so both ends have this much room for network and decoding.
_ROOM = timedelta(seconds=1.0)


@dataclass(frozen=True, slots=True)
class DueVisit:
    """A visit without a mask that must, or may, be reported; in wall time."""

    camera: str
    person: str
    begins: datetime
    ends: datetime
    must: bool

    def covers(self, report: ReportedVisit) -> bool:
        """Return whether the report can be about this visit."""
        return self.camera == report.camera and self.begins - _ROOM <= report.at <= self.ends + _ROOM


@dataclass(frozen=True, slots=True)
class ReportedVisit:
    """An opened violation: its camera and the time of the frame that decided it."""

    camera: str
    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """Visits found, visits missed, and reports without a visit."""

    found: tuple[tuple[DueVisit, ReportedVisit], ...]
    missed: tuple[DueVisit, ...]
    surplus: tuple[ReportedVisit, ...]

    @property
    def exact(self) -> bool:
        """Whether the reports are exactly the visits that had to be reported."""
        return not self.missed and not self.surplus


def due_visits(camera: str, events: Iterable[ExpectedEvent], began: datetime) -> list[DueVisit]:
    """Return the events of one camera in wall time, its clip having begun at `began` (UTC)."""
    return [
        DueVisit(
            camera,
            event.person,
            began + timedelta(seconds=event.begins),
            began + timedelta(seconds=event.ends),
            event.duty is Duty.REQUIRED,
        )
        for event in events
    ]


def balance(due: Sequence[DueVisit], reports: Iterable[ReportedVisit]) -> Account:
    """Pair each report, in order of time, with the first visit that it fits and that has no report yet.

    Visits that must be reported come before those that may. A second report of one visit is surplus.
    """
    free = sorted(due, key=lambda visit: (not visit.must, visit.ends))
    found: list[tuple[DueVisit, ReportedVisit]] = []
    surplus: list[ReportedVisit] = []
    for report in sorted(reports, key=lambda report: report.at):
        visit = next((visit for visit in free if visit.covers(report)), None)
        if visit is None:
            surplus.append(report)
        else:
            free.remove(visit)
            found.append((visit, report))
    return Account(tuple(found), tuple(visit for visit in free if visit.must), tuple(surplus))
