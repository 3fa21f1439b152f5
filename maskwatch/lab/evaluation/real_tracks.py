"""Measures on recorded clips whether one person is one track.

Only people whose boxes were written down count. A frame in which a person has no track counts against
the detections only, as in HOTA (Luiten et al. 2020), whose association accuracy this is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from maskwatch.lab.evaluation.real_timeline import PersonMoment

CROWD = 5
"""People of a clip from which it counts as a crowd."""

Tracks = Mapping[str, Sequence[int | None]]
"""For each person of a clip, the number of the track in each frame in which they can be seen."""


class TrackFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How well tracks follow people.

    Attributes:
        people: those who had a track at all.
        switches: times that a person's track became another one.
        moved: times that a track of one person became another's too.
        found: share of the frames in which a person could be seen and had a track.
        association: HOTA's association accuracy; 1 if every person is one track, and no track two.
        hota: the geometric mean of `found` and `association`.
    """

    people: int
    switches: int
    moved: int
    found: float | None
    association: float | None
    hota: float | None

    @property
    def switches_per_100(self) -> float | None:
        return round(100 * self.switches / self.people, 1) if self.people else None


def tracks_of(moments: Mapping[str, Sequence[PersonMoment]]) -> dict[str, list[int | None]]:
    """Return the number of each person's track in each frame."""
    return {
        person: [None if each.view is None else each.view.number for each in seen]
        for person, seen in moments.items()
    }


def track_figures(clips: Iterable[Tracks]) -> TrackFigures:
    """Return the figures over all clips."""
    people = switches = moved = frames = matched = 0
    association = 0.0
    for tracks in clips:
        followed = {person: [n for n in row if n is not None] for person, row in tracks.items()}
        people += sum(bool(row) for row in followed.values())
        switches += sum(_changes(row) for row in followed.values())
        moved += _moved(followed)
        frames += sum(len(row) for row in tracks.values())
        matched += sum(len(row) for row in followed.values())
        association += _associated(tracks, followed)
    found = matched / frames if frames else None
    accuracy = association / matched if matched else None
    hota = math.sqrt(found * accuracy) if found is not None and accuracy is not None else None
    return TrackFigures(
        people=people,
        switches=switches,
        moved=moved,
        found=_rounded(found),
        association=_rounded(accuracy),
        hota=_rounded(hota),
    )


def _changes(row: Sequence[int]) -> int:
    return sum(one != other for one, other in pairwise(row))


def _moved(followed: Mapping[str, Sequence[int]]) -> int:
    """Return how often a track of one person became another's too."""
    owners = Counter(number for row in followed.values() for number in set(row))
    return sum(count - 1 for count in owners.values())


def _associated(tracks: Tracks, followed: Mapping[str, Sequence[int]]) -> float:
    """Return the sum over all matched frames of the share of person and track that agree."""
    of_track = Counter(number for row in followed.values() for number in row)
    total = 0.0
    for person, row in followed.items():
        for number, count in Counter(row).items():
            total += count * count / (len(tracks[person]) + of_track[number] - count)
    return total


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
