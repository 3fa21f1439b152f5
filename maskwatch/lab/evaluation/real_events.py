"""Compares the violations that were opened on a recorded clip with the expected events.

A report belongs to the person whose face box, at that moment, it overlaps best, else to the smallest
face box that holds its centre; if there is none, to the nearest of the moments around. Only time and
place count, neither tracks nor model outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from maskwatch.domain import Box
from maskwatch.lab.evaluation.intervals import Estimate, share
from maskwatch.lab.evaluation.real_clips import ExpectedClip, ExpectedObject, ExpectedPerson, Rule

MIN_IOU = 0.2
"""Minimum overlap of a report's box with the face it is about."""
_MOMENTS = 9  # at which a report is compared within the tolerance

_Entry = ExpectedPerson | ExpectedObject


class Judging(msgspec.Struct, frozen=True, kw_only=True):
    """How reports are judged; both in seconds.

    Attributes:
        lag: a report about somebody who was masked for so long is false.
        tolerance: a report may be so much before or after the face was there.
    """

    lag: float = 2.0
    tolerance: float = 0.4


class AssignedReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report of no new person: when, about whom (None: no person), and why it is false."""

    moment: float
    who: str | None
    track: int
    box: tuple[float, float, float, float]
    why: str = ""


class RealOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one clip, by ids of people.

    Attributes:
        due: people of whom an event is required.
        found: seconds of each one's first report.
        missed: those without one.
        duplicates: further reports of one visit.
        neither: reports that are allowed.
        false: reports about somebody masked, something that is no person, or an empty place.
        delays: seconds from `judgeable_from` to the first report; negative before it.
    """

    due: tuple[str, ...]
    found: dict[str, float]
    missed: tuple[str, ...]
    duplicates: tuple[AssignedReport, ...]
    neither: tuple[AssignedReport, ...]
    false: tuple[AssignedReport, ...]
    delays: dict[str, float]


class RealFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures over all clips; counts, shares and seconds."""

    due: int
    found: int
    missed: int
    duplicates: int
    neither: int
    false: int
    recall: float | None
    recall_95: tuple[float, float] | None
    precision: float | None
    precision_95: tuple[float, float] | None
    delay_median: float | None
    delay_p90: float | None


@dataclass(frozen=True, slots=True)
class TrackedReport:
    """One opened violation: when (seconds of the clip), where (relative to the picture), its track."""

    at: float
    box: Box
    track: int


def judge_real(clip: ExpectedClip, reports: Iterable[TrackedReport], judging: Judging) -> RealOutcome:
    """Return the result of the clip for all reports on it, in the order of their time."""
    due = tuple(person.id for person in clip.people if person.rule is Rule.REQUIRED)
    found: dict[str, float] = {}
    delays: dict[str, float] = {}
    duplicates, neither, false = [], [], []
    for report in reports:
        owner = owner_of(clip, report, judging.tolerance)
        why = _why_false(owner, report.at, judging.lag)
        if why:
            false.append(_assigned(report, owner, why))
        elif not isinstance(owner, ExpectedPerson) or owner.rule is Rule.ALLOWED:
            neither.append(_assigned(report, owner))
        elif owner.id in found:
            duplicates.append(_assigned(report, owner))
        else:
            found[owner.id] = round(report.at, 2)
            delays[owner.id] = round(report.at - (owner.judgeable_from or 0.0), 2)
    return RealOutcome(
        due=due,
        found=found,
        missed=tuple(one for one in due if one not in found),
        duplicates=tuple(duplicates),
        neither=tuple(neither),
        false=tuple(false),
        delays=delays,
    )


def total(outcomes: Sequence[RealOutcome]) -> RealFigures:
    """Return the figures over all clips; shares have Wilson's interval."""
    delays = [delay for outcome in outcomes for delay in outcome.delays.values()]
    counts = {
        name: sum(len(getattr(outcome, name)) for outcome in outcomes)
        for name in ("due", "found", "missed", "duplicates", "neither", "false")
    }
    recall = share(counts["found"], counts["due"])
    reported = counts["found"] + counts["duplicates"] + counts["false"]
    precision = share(counts["found"], reported)
    return RealFigures(
        **counts,
        recall=_rounded(recall.value),
        recall_95=_interval(recall),
        precision=_rounded(precision.value),
        precision_95=_interval(precision),
        delay_median=round(float(np.median(delays)), 2) if delays else None,
        delay_p90=round(float(np.percentile(delays, 90)), 2) if delays else None,
    )


def owner_of(clip: ExpectedClip, report: TrackedReport, tolerance: float) -> _Entry | None:
    """Return whom or what the report is about; None for no person.

    The very moment goes before the moments around it, a person before an area.
    """
    things = [thing for thing in clip.objects if thing.rule is Rule.FORBIDDEN]
    faces: list[_Entry] = [*clip.people, *things]
    around = [report.at + step for step in np.linspace(-tolerance, tolerance, _MOMENTS)]
    for moments in ([report.at], around):
        fits = [(one, *_fit(one, report.box, moments)) for one in faces]
        best = max(fits, key=lambda fit: fit[1], default=None)
        if best is not None and best[1] >= MIN_IOU:
            return best[0]
        held = [fit for fit in fits if isinstance(fit[0], ExpectedPerson) and fit[2] < math.inf]
        if held:
            return min(held, key=lambda fit: fit[2])[0]
    areas = [
        (thing, *_fit(thing, report.box, [report.at]))
        for thing in clip.objects
        if thing.rule is Rule.ALLOWED
    ]
    held_areas = [fit for fit in areas if fit[2] < math.inf]
    return min(held_areas, key=lambda fit: fit[2])[0] if held_areas else None


def _fit(one: _Entry, box: Box, moments: Iterable[float]) -> tuple[float, float]:
    """Return the best overlap (IoU), and the area of the smallest face box that holds the centre.

    The area is infinite where none does. Only moments at which it can be seen count.
    """
    iou, area, centre = 0.0, math.inf, box.centre
    for moment in moments:
        if one.in_sight(moment):
            face = one.box_at(moment)
            iou = max(iou, face.iou(box))
            if face.x1 <= centre.x <= face.x2 and face.y1 <= centre.y <= face.y2:
                area = min(area, face.area)
    return iou, area


def _why_false(owner: _Entry | None, moment: float, lag: float) -> str:
    """Return why a report about `owner` is false; "" if it is not."""
    if owner is None:
        return "no person there"
    person = isinstance(owner, ExpectedPerson)
    if owner.rule is Rule.FORBIDDEN:
        return "masked" if person else "no living face"
    return "masked" if isinstance(owner, ExpectedPerson) and owner.masked_throughout(moment, lag) else ""


def _assigned(report: TrackedReport, owner: _Entry | None, why: str = "") -> AssignedReport:
    box = report.box
    x1, y1, x2, y2 = (round(value, 3) for value in (box.x1, box.y1, box.x2, box.y2))
    return AssignedReport(
        moment=round(report.at, 2),
        who=_name(owner),
        track=report.track,
        box=(x1, y1, x2, y2),
        why=why,
    )


def _name(owner: _Entry | None) -> str | None:
    if owner is None:
        return None
    return owner.id if isinstance(owner, ExpectedPerson) else owner.who


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _interval(estimate: Estimate) -> tuple[float, float] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return round(estimate.low, 3), round(estimate.high, 3)
