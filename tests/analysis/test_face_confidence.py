"""Whether a track is a face is decided by all of its scores, not by a single one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maskwatch.analysis.face_confidence import FaceConfidence

_SCORES = st.lists(st.floats(0.3, 1.0), min_size=1, max_size=40)


def _after(*scores: float, interval: float = 0.2) -> FaceConfidence:
    evidence = FaceConfidence(0.4)
    for number, score in enumerate(scores):
        evidence.observe(score, number * interval)
    return evidence


def test_without_a_detection_it_is_not_a_face() -> None:
    assert not _after().sufficient


def test_one_detection_suffices_only_with_the_score_of_a_near_face() -> None:
    assert _after(0.93).sufficient
    assert not _after(0.8).sufficient


def test_a_distant_face_is_confirmed_within_a_second() -> None:
    """Nine of ten faces without a mask of 32 to 48 px in photographs score 0.8 and more."""
    assert _after(*[0.8] * 5).sufficient


def test_a_neutral_score_never_adds_up() -> None:
    assert not _after(*[0.716] * 500).sufficient


@given(_SCORES)
def test_a_higher_score_never_lowers_the_confidence(scores: list[float]) -> None:
    better = [min(1.0, score + 0.05) for score in scores]
    assert _after(*better).ratio >= _after(*scores).ratio - 1e-9


@given(_SCORES, st.floats(0.0, 10.0))
def test_a_moment_in_the_past_has_no_weight(scores: list[float], back: float) -> None:
    evidence = _after(*scores)
    before = evidence.ratio
    evidence.observe(0.95, (len(scores) - 1) * 0.2 - back)
    assert evidence.ratio == before


@given(_SCORES)
def test_four_seconds_of_scores_outweigh_any_past(scores: list[float]) -> None:
    """Four seconds of high scores suffice after any past, and four of low ones never do."""
    assert _after(*scores, *[0.9] * 20).sufficient
    assert not _after(*scores, *[0.4] * 20).sufficient
