"""What a replay made of the people of a clip, held against the ground truth frame by frame.

Beside what was reported (`events_eval`) this counts what leads to it: whether one person stayed one
track, what was first decided about each, how often the detector was asked, and how many faces an
anonymized picture left uncovered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from maskwatch.analysis.results import TrackView
from maskwatch.domain import Box, ChangeKind, Verdict
from maskwatch.lab.evaluation.coverage import UNCOVERED, uncovered
from maskwatch.lab.evaluation.events import NEAR, Reported
from maskwatch.lab.evaluation.rules import Rules, judgeable
from maskwatch.lab.truth import PersonFrame, Truth, Wear
from maskwatch.replay.replay import ReplayStep, replayed_changes

__all__ = ["FirstVerdict", "TrackEvaluation", "TrackFindings"]

_IN_VIEW = 0.15
"""Least share of a face in view that counts as a face."""


class FirstVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was first decided about a person who wore the mask one way all the time."""

    masked: bool
    verdict: Verdict


class TrackFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did with one clip.

    Attributes:
        frames, looked: how many there were, and how many the motion gate let through.
        swaps: a track went from one person to another.
        fragments: a person got another track during one visit.
        verdicts: of each person who could be judged for long enough.
        faces, uncovered: in pictures of violations, those of the truth, and how many were shown.
    """

    frames: int
    looked: int
    swaps: int
    fragments: int
    verdicts: tuple[FirstVerdict, ...]
    faces: int
    uncovered: int


class TrackEvaluation:
    """Watches one replay: give it every step, then ask."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.reports: list[Reported] = []
        self._frames = self._looked = self._swaps = self._fragments = 0
        self._faces = self._uncovered = 0
        self._track_of: dict[int, int] = {}
        self._visit_of: dict[int, int] = {}
        self._first: dict[int, Verdict] = {}

    def see(self, step: ReplayStep) -> None:
        """Take in one step."""
        opened = (one for one in replayed_changes(step) if one.change.kind is ChangeKind.OPENED)
        self.reports += [Reported(one.moment, one.box) for one in opened]
        if step.frame is None:
            return
        self._frames += 1
        self._looked += step.result.analysed
        people = self._people(step.moment)
        for person, view in _matched(people, step.result.tracks):
            self._follow(person.visit, view)
        self._check_pictures(step, people)

    def findings(self) -> TrackFindings:
        """Return what was seen, of the whole replay."""
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
        """Return who shows a face; recorded footage without people has no frames in its truth."""
        frames = self._truth.frames
        if not frames:
            return ()
        frame = frames[min(max(round(moment * self._truth.rate), 0), len(frames) - 1)]
        return tuple(p for p in frame.people if p.face is not None and p.visible > _IN_VIEW)

    def _follow(self, visit: int, view: TrackView) -> None:
        before = self._track_of.get(visit)
        if before is not None and before != view.number:
            self._fragments += 1
        other = self._visit_of.get(view.number)
        if other is not None and other != visit:
            self._swaps += 1
        self._track_of[visit], self._visit_of[view.number] = view.number, visit
        if view.verdict is not Verdict.UNKNOWN:
            self._first.setdefault(visit, view.verdict)

    def _verdicts(self, rules: Rules) -> Iterable[FirstVerdict]:
        """Give what was first decided about each who could be judged, bare or masked throughout."""
        for number, visit in enumerate(self._truth.visits):
            seen = [p for f in self._truth.frames for p in f.people if p.visit == number]
            states = {p.mask for p in seen}
            clear = sum(judgeable(person, rules) for person in seen) / self._truth.rate
            constant = states in ({Wear.BARE}, {Wear.MASKED})
            if visit.alive and constant and clear >= rules.seconds:
                verdict = self._first.get(number, Verdict.UNKNOWN)
                yield FirstVerdict(masked=Wear.MASKED in states, verdict=verdict)

    def _check_pictures(self, step: ReplayStep, people: Sequence[PersonFrame]) -> None:
        """Count the faces that the pictures of this step show as they are."""
        tracks = {view.number: view.box for view in step.result.tracks}
        covered = [*tracks.values(), *(one.box for one in step.result.detections)]
        for change, picture in step.result.changes:
            subject = tracks.get(change.violation.track)
            if picture is None or subject is None:
                continue
            shares = [uncovered(_face(p), subject, covered, self._truth.size) for p in people]
            self._faces += len(shares)
            self._uncovered += sum(share > UNCOVERED for share in shares)


def _matched(
    people: Sequence[PersonFrame], views: Sequence[TrackView]
) -> list[tuple[PersonFrame, TrackView]]:
    """Return which detected track is whose face, the best overlap first."""
    overlaps = [
        (_face(person).iou(view.box), person.visit, view.number, person, view)
        for person in people
        for view in views
        if view.detected
    ]
    pairs: dict[int, tuple[PersonFrame, TrackView]] = {}
    taken: set[int] = set()
    for overlap, visit, number, person, view in sorted(overlaps, key=lambda o: (-o[0], o[1], o[2])):
        if overlap >= NEAR and visit not in pairs and number not in taken:
            pairs[visit] = (person, view)
            taken.add(number)
    return list(pairs.values())


def _face(person: PersonFrame) -> Box:
    assert person.face is not None  # only people who show one come here
    return Box(*person.face)
