"""What the pipeline made of each expected person, frame by frame, and what kept an event back.

A frame's stage is how far the person came in it: found by the detector, followed by a track, fit to be
judged, read, decided, held by an obstacle, reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import msgspec

from maskwatch.analysis.liveness import STILL_FACE, STILL_PLACE, TURNED_FACE, UNSURE_FACE
from maskwatch.analysis.own_motion import Liveness
from maskwatch.analysis.results import TrackView
from maskwatch.domain import Box, ChangeKind, Verdict
from maskwatch.lab.evaluation.real_clips import ExpectedClip, ExpectedPerson
from maskwatch.lab.evaluation.real_events import MIN_IOU, TrackedReport
from maskwatch.replay.replay import ReplayStep, replayed_changes

T = TypeVar("T")


class Part(StrEnum):
    """The part of the pipeline that kept an event back."""

    DETECTOR = "detector"
    TRACK = "track"
    GATE = "gate"
    CLASSIFIER = "classifier"
    LIVENESS = "liveness"
    POLICY = "policy"


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why somebody was reported late or not at all: the part, and the share of frames it held."""

    part: Part
    share: float
    detail: str


@dataclass(frozen=True, slots=True)
class PersonMoment:
    """One analysed frame in which a person could be seen.

    Attributes:
        score: of the detection that fits; None without one.
        view: the track that fits; None without one.
    """

    moment: float
    score: float | None
    view: TrackView | None


class Timeline:
    """Collects the steps of a replay: the reports, and each expected person's moments by id."""

    def __init__(self, clip: ExpectedClip) -> None:
        self._clip = clip
        self.reports: list[TrackedReport] = []
        self.moments: dict[str, list[PersonMoment]] = {person.id: [] for person in clip.people}

    def add(self, step: ReplayStep) -> None:
        for replayed in replayed_changes(step):
            violation = replayed.change.violation
            if replayed.change.kind is ChangeKind.OPENED:
                self.reports.append(TrackedReport(replayed.moment, violation.box, violation.track))
        if step.frame is None or not step.result.analysed:
            return
        relative = step.frame.relative
        found = [(relative(one.box), one.score) for one in step.result.detections]
        views = [(relative(view.box), view) for view in step.result.tracks if view.detected]
        for person in self._clip.people:
            if person.in_sight(step.moment):
                face = person.box_at(step.moment)
                moment = PersonMoment(step.moment, _best(face, found), _best(face, views))
                self.moments[person.id].append(moment)


def explain(person: ExpectedPerson, moments: Sequence[PersonMoment], until: float) -> Reason:
    """Return what kept the report of `person` back from `judgeable_from` to `until` (seconds)."""
    begin = person.judgeable_from or 0.0
    due = [each for each in moments if begin <= each.moment <= until]
    if not due:
        return Reason(part=Part.DETECTOR, share=1.0, detail="no frame was analysed in that time")
    held = [_held(each) for each in due]
    part, count = Counter(part for part, _ in held).most_common(1)[0]
    detail = Counter(text for one, text in held if one is part).most_common(1)[0][0]
    return Reason(part=part, share=round(count / len(due), 3), detail=detail)


_PART_OF_OBSTACLE = {
    UNSURE_FACE: Part.DETECTOR,
    TURNED_FACE: Part.GATE,
    STILL_FACE: Part.LIVENESS,
    STILL_PLACE: Part.LIVENESS,
}


def _held(each: PersonMoment) -> tuple[Part, str]:
    """Return what kept the report back in one frame, and in which words."""
    if each.view is not None:
        return _held_track(each.view)
    if each.score is None:
        return Part.DETECTOR, "no face was found"
    return Part.TRACK, "the face was found and belongs to no track yet"


def _held_track(view: TrackView) -> tuple[Part, str]:
    """Return what kept the report of a track back; the first that applies."""
    gate = view.reading.gate if view.reading else None
    undecided = view.verdict is Verdict.UNKNOWN
    verdict = view.verdict.value.replace("_", " ")
    obstacle = _PART_OF_OBSTACLE.get(view.obstacle, Part.POLICY), view.obstacle
    reported = view.verdict in (Verdict.NO_MASK, Verdict.INCORRECT)
    open_already = f"the face belongs to a violation that is open (person {view.number})"
    causes = (
        (view.violation is not None, (Part.TRACK, open_already)),
        (undecided and gate is not None, (Part.GATE, gate.value if gate else "")),
        (reported and view.obstacle != "", obstacle),
        (view.liveness is Liveness.STILL, (Part.LIVENESS, STILL_FACE)),
        (undecided, (Part.CLASSIFIER, "the evidence is not sufficient yet")),
    )
    return next(
        (cause for holds, cause in causes if holds), (Part.CLASSIFIER, f"the verdict is {verdict}")
    )


def _best(face: Box, candidates: Iterable[tuple[Box, T]]) -> T | None:
    """Return what overlaps the face best; None where nothing does."""
    overlap, best = max(
        ((face.iou(box), one) for box, one in candidates), key=lambda pair: pair[0], default=(0.0, None)
    )
    return best if overlap >= MIN_IOU else None
