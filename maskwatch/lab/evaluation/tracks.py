"""Compares the tracks of a replay with the ground truth, frame by frame.

`events` judges the reports; this module measures what leads to them: whether one person is one track,
each person's first verdict, how often the detector runs, and how many faces an anonymized picture
shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from maskwatch.analysis.results import TrackView
from maskwatch.domain import Box, ChangeKind, Verdict
from maskwatch.lab.evaluation.coverage import UNCOVERED, uncovered
from maskwatch.lab.evaluation.events import MIN_FACE_OVERLAP, Reported
from maskwatch.lab.evaluation.rules import MIN_VISIBLE, Rules, judgeable
from maskwatch.lab.truth import PersonFrame, Truth, Wear
from maskwatch.replay.replay import ReplayStep, replayed_changes


class FirstVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The first verdict about a person who is always masked or never."""

    masked: bool
    verdict: Verdict


class TrackFindings(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements of one replay.

    Attributes:
        frames, looked: number of frames, and of those that passed the motion gate.
        swaps: times that a track moved to another person.
        fragments: times that a person got another track during one visit.
        verdicts: the first verdict about each person who was judgeable for long enough.
        faces, uncovered: true faces in pictures of violations, and those not anonymized.

    """

    frames: int
    looked: int
    swaps: int
    fragments: int
    verdicts: tuple[FirstVerdict, ...]
    faces: int
    uncovered: int


class TrackEvaluation:
    """Evaluates one replay: `add` takes every step, then `findings` returns the measurements."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.reports: list[Reported] = []
        self._frames = self._looked = self._swaps = self._fragments = 0
        self._faces = self._uncovered = 0
        self._track_of: dict[int, int] = {}
        self._visit_of: dict[int, int] = {}
        self._first_verdicts: dict[int, Verdict] = {}

    def add(self, step: ReplayStep) -> None:
        """Evaluate one step."""
        opened = (c for c in replayed_changes(step) if c.change.kind is ChangeKind.OPENED)
        self.reports += [Reported(change.moment, change.box) for change in opened]
        if step.frame is None:
            return
        self._frames += 1
        self._looked += step.result.analysed
        people = self._people(step.moment)
        for person, view in _matched(people, step.result.tracks):
            self._follow(person.visit, view)
        self._check_pictures(step, people)

    def findings(self) -> TrackFindings:
        """Return the measurements of the steps so far."""
        return TrackFindings(
            frames=self._frames,
            looked=self._looked,
            swaps=self._swaps,
            fragments=self._fragments,
            verdicts=tuple(self._verdicts(Rules())),
            faces=self._faces,
            uncovered=self._uncovered,
        )

    def _people(self, moment: float) -> tuple[PersonFrame, ...]:
        """Return the people whose faces are in view; footage without people has no true frames."""
        frames = self._truth.frames
        if not frames:
            return ()
        frame = frames[min(max(round(moment * self._truth.rate), 0), len(frames) - 1)]
        return tuple(p for p in frame.people if p.face is not None and p.visible > MIN_VISIBLE)

    def _follow(self, visit: int, view: TrackView) -> None:
        previous_track = self._track_of.get(visit)
        if previous_track is not None and previous_track != view.number:
            self._fragments += 1
        previous_visit = self._visit_of.get(view.number)
        if previous_visit is not None and previous_visit != visit:
            self._swaps += 1
        self._track_of[visit], self._visit_of[view.number] = view.number, visit
        if view.verdict is not Verdict.UNKNOWN:
            self._first_verdicts.setdefault(visit, view.verdict)

    def _verdicts(self, rules: Rules) -> Iterable[FirstVerdict]:
        """Yield the first verdict about each judgeable person who is always or never masked."""
        for number, visit in enumerate(self._truth.visits):
            seen = [p for f in self._truth.frames for p in f.people if p.visit == number]
            states = {p.mask for p in seen}
            clear = sum(judgeable(person, rules) for person in seen) / self._truth.rate
            constant = states in ({Wear.BARE}, {Wear.MASKED})
            if visit.alive and constant and clear >= rules.seconds:
                verdict = self._first_verdicts.get(number, Verdict.UNKNOWN)
                yield FirstVerdict(masked=Wear.MASKED in states, verdict=verdict)

    def _check_pictures(self, step: ReplayStep, people: Sequence[PersonFrame]) -> None:
        """Count the faces in this step's pictures, and those that are not anonymized."""
        tracks = {view.number: view.box for view in step.result.tracks}
        mosaics = [*tracks.values(), *(detection.box for detection in step.result.detections)]
        for change, picture in step.result.changes:
            subject = tracks.get(change.violation.track)
            if picture is None or subject is None:
                continue
            shares = [uncovered(_face(p), subject, mosaics, self._truth.size) for p in people]
            self._faces += len(shares)
            self._uncovered += sum(share > UNCOVERED for share in shares)


def _matched(
    people: Sequence[PersonFrame], views: Sequence[TrackView]
) -> list[tuple[PersonFrame, TrackView]]:
    """Return the pairs of people and detected tracks, the best overlap first."""
    overlaps = [
        (_face(person).iou(view.box), person.visit, view.number, person, view)
        for person in people
        for view in views
        if view.detected
    ]
    pairs: dict[int, tuple[PersonFrame, TrackView]] = {}
    taken: set[int] = set()
    for overlap, visit, number, person, view in sorted(overlaps, key=lambda o: (-o[0], o[1], o[2])):
        if overlap >= MIN_FACE_OVERLAP and visit not in pairs and number not in taken:
            pairs[visit] = (person, view)
            taken.add(number)
    return list(pairs.values())


def _face(person: PersonFrame) -> Box:
    assert person.face is not None  # `_people` returns only people with a face
    return Box(*person.face)
