"""People keep their track through crossings, gaps and low frame rates; identity switches are counted."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.domain import Detection
from maskwatch.tracking.track import Track
from maskwatch.tracking.tracker import Tracker
from tests.fakes.vision import face

Path = Callable[[float], tuple[float, float, float] | None]
"""From seconds to the centre (x, y) and height of a face; None while it is not detected."""


def _walk(x: float, y: float, across: float, height: float = 48.0, growth: float = 0.0) -> Path:
    """`across` is in face heights per second; people walk at about 6."""
    return lambda t: (x + across * height * t, y, height * math.exp(growth * t))


def _follow(
    paths: list[Path],
    *,
    seconds: float,
    rate: float,
    jitter: float = 0.04,
    missed: float = 0.0,
    seed: int = 0,
) -> list[list[int | None]]:
    """Return per person the track number at each frame in which the face was found."""
    rng = random.Random(seed)
    tracker = Tracker(0.6, 3.0)
    numbers: list[list[int | None]] = [[] for _ in paths]
    for index in range(int(seconds * rate)):
        moment = index / rate
        shown: list[tuple[int, Detection]] = []
        for person, path in enumerate(paths):
            at = path(moment)
            if at is not None and rng.random() >= missed:
                x, y, h = at
                noise = [rng.gauss(0, jitter * h) for _ in range(3)]
                shown.append((person, face(x + noise[0], y + noise[1], h + noise[2])))
        rng.shuffle(shown)
        tracker.update([d for _, d in shown], moment)
        by_detection = {id(t.detection): t.number for t in tracker.tracks if t.detection}
        for person, detection in shown:
            numbers[person].append(by_detection.get(id(detection)))
    return numbers


def _switches(numbers: list[list[int | None]]) -> int:
    """Count how often a person's track number changed."""
    known = [[n for n in person if n is not None] for person in numbers]
    return sum(a != b for person in known for a, b in pairwise(person))


@pytest.mark.parametrize(("rate", "missed"), [(2.5, 0.0), (5.0, 0.1), (10.0, 0.2)])
def test_one_walker_keeps_one_track(rate: float, missed: float) -> None:
    for seed in range(10):
        numbers = _follow([_walk(100, 200, 6.0)], seconds=4, rate=rate, missed=missed, seed=seed)
        assert _switches(numbers) == 0


def test_a_first_step_longer_than_a_face_keeps_the_track() -> None:
    """At 5 frames a second a walker's boxes do not overlap: a tracker by overlap alone loses them."""
    numbers = _follow([_walk(100, 200, 6.5)], seconds=1, rate=5, jitter=0.0)
    assert set(numbers[0]) == {1}


def test_crossings_switch_identities_in_at_most_one_of_twenty() -> None:
    """Two people pass each other, one a little nearer to the camera: hidden for a moment, or not."""
    switched = 0
    for seed in range(60):
        rng = random.Random(seed)
        near, far = rng.uniform(50, 60), rng.uniform(36, 44)
        speed = rng.uniform(3.5, 6.5)
        a, b = _walk(150, 200, speed, near), _walk(650, 190, -speed, far)

        def hidden(
            t: float, a: Path = a, b: Path = b, near: float = near
        ) -> tuple[float, float, float] | None:
            """The farther one is not found while the nearer one covers them."""
            front, back = a(t), b(t)
            assert front is not None
            assert back is not None
            return None if abs(front[0] - back[0]) < 0.6 * near else back

        numbers = _follow([a, hidden], seconds=3, rate=5, seed=seed)
        switched += _switches(numbers) > 0
    assert switched <= 3


def test_three_people_side_by_side_keep_their_tracks() -> None:
    paths = [_walk(100 + 70 * i, 200 + 5 * i, 4.0) for i in range(3)]
    switched = sum(_switches(_follow(paths, seconds=3, rate=5, seed=seed)) > 0 for seed in range(20))
    assert switched == 0


def test_a_person_hidden_for_two_seconds_keeps_the_track() -> None:
    walk = _walk(100, 200, 2.0)
    numbers = _follow([lambda t: None if 1.0 < t < 3.0 else walk(t)], seconds=5, rate=5)
    assert _switches(numbers) == 0


def test_a_person_who_stops_while_hidden_keeps_the_track() -> None:
    def path(t: float) -> tuple[float, float, float] | None:
        if t < 1.0:
            return 100 + 250 * t, 200, 48
        return None if t < 3.0 else (400 + 60 * (t - 3.0), 200, 48)

    assert _switches(_follow([path], seconds=4.5, rate=5)) == 0


def test_after_the_reassociation_time_a_new_track_begins() -> None:
    walk = _walk(100, 200, 0.0)
    numbers = _follow([lambda t: None if 1.0 < t < 4.6 else walk(t)], seconds=6, rate=5)
    assert _switches(numbers) == 1


def test_a_face_far_from_where_a_person_vanished_is_a_new_track() -> None:
    def path(t: float) -> tuple[float, float, float] | None:
        return (100, 200, 40) if t < 1 else None if t < 1.6 else (620, 200, 40)

    assert _switches(_follow([path], seconds=2.5, rate=5)) == 1


def _exchange_tracks(seed: int, *, pauses: bool) -> bool:
    """Return whether two posters, analysed every two seconds, ever exchange their tracks."""
    rng, tracker, now = random.Random(seed), Tracker(0.6, 3.0), 0.0
    for index in range(20):
        faces = [
            face(x + rng.gauss(0, 1), y + rng.gauss(0, 1), height * rng.uniform(0.94, 1.06))
            for x, y, height in ((300, 150, 97), (660, 166, 85))
        ]
        tracker.update(faces, now)
        places = {t.number: t.detection.box.centre.x for t in tracker.tracks if t.detection}
        if not (places.get(1, 999) < 400 < places.get(2, 0)):
            return True
        before, now = now, now + (0.2 if index < 5 else 2.0)
        skipped = before + 0.2
        while pauses and skipped < now - 0.1:
            tracker.pause(skipped)
            skipped += 0.2
    return False


def test_two_posters_keep_their_tracks_while_no_frame_is_analysed() -> None:
    """Without the pauses either face could be anywhere, and size alone would decide."""
    assert not any(_exchange_tracks(seed, pauses=True) for seed in range(40))
    assert any(_exchange_tracks(seed, pauses=False) for seed in range(40))


def test_a_doubtful_detection_keeps_a_track_but_never_begins_one() -> None:
    tracker = Tracker(0.6, 3.0)
    tracker.update([face(100, 100, score=0.4)], 0.0)
    assert tracker.tracks == []
    tracker.update([face(100, 100, score=0.9)], 0.2)
    tracker.update([face(102, 100, score=0.4)], 0.4)
    assert [track.hits for track in tracker.tracks] == [2]


def test_a_sure_detection_is_matched_before_a_doubtful_one() -> None:
    tracker = Tracker(0.6, 3.0)
    tracker.update([face(100, 100)], 0.0)
    sure = face(110, 100, score=0.9)
    tracker.update([face(101, 100, score=0.35), sure], 0.2)
    assert [track.detection for track in tracker.tracks] == [sure]


def test_a_face_that_another_begins_to_hide_keeps_its_track() -> None:
    """The one in front is surer, but where the track was expected is a doubtful one."""
    tracker = Tracker(0.6, 3.0)
    for index in range(5):
        tracker.update([face(100, 100)], index / 5)
    front = face(130, 125)
    tracker.update([face(100, 100, score=0.35), front], 1.0)
    numbers = [track.number for track in tracker.tracks if track.detection is front]
    assert numbers == [2]


def test_two_boxes_on_one_face_are_one_track() -> None:
    tracker = Tracker(0.6, 3.0)
    tracker.update([face(100, 100, 48), face(104, 104, 40)], 0.0)
    assert len(tracker.tracks) == 1


def test_a_single_detection_is_never_confirmed_and_soon_dropped() -> None:
    tracker = Tracker(0.6, 3.0)
    tracker.update([face(100, 100)], 0.0)
    ended: list[Track] = []
    for index in range(1, 6):
        ended += tracker.update([], index / 5)
    assert [tracker.confirmed(track) for track in ended] == [False]
    assert tracker.tracks == []


_ANY_FACE = st.builds(
    face,
    st.floats(-100, 2000),
    st.floats(-100, 1200),
    st.floats(1, 900),
    st.floats(0, 1),
)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.lists(_ANY_FACE, max_size=4)), max_size=12))
def test_any_detections_at_any_times_leave_the_tracks_consistent(
    frames: list[tuple[float, list[Detection]]],
) -> None:
    """Numbers are unique for good, each detection has one track, and every track ends."""
    tracker = Tracker(0.6, 3.0)
    gone: set[int] = set()
    latest = -math.inf
    for moment, detections in frames:
        latest = max(latest, moment)
        gone |= {track.number for track in tracker.update(detections, moment)}
        numbers = [track.number for track in tracker.tracks]
        matched = [id(track.detection) for track in tracker.tracks if track.detection]
        assert len(set(numbers)) == len(numbers)
        assert not gone & set(numbers)
        assert len(set(matched)) == len(matched) <= len(detections)
        assert all(latest - track.last_moment <= 3.0 for track in tracker.tracks)
        assert all(math.isfinite(track.height) for track in tracker.tracks)
