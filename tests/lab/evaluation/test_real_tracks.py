"""On recorded clips, tracks are compared with the people whose boxes were written down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.lab.evaluation.real_tracks import track_figures

ROWS = st.lists(st.one_of(st.none(), st.integers(1, 4)), max_size=12)
CLIPS = st.lists(st.dictionaries(st.sampled_from("abcd"), ROWS, max_size=4), max_size=3)


def test_a_person_who_is_one_track_all_the_time_is_perfect() -> None:
    figures = track_figures([{"a": [1, 1, 1], "b": [2, 2]}])
    assert (figures.people, figures.switches, figures.moved) == (2, 0, 0)
    assert figures.found == figures.association == figures.hota == 1.0


def test_a_second_track_of_one_person_is_a_switch_and_halves_the_association() -> None:
    figures = track_figures([{"a": [1, 1, None, 2, 2]}])
    assert (figures.switches, figures.switches_per_100) == (1, 100.0)
    assert figures.found == 0.8
    assert figures.association == pytest.approx(0.4)


def test_a_track_that_moves_on_to_another_person_is_counted() -> None:
    figures = track_figures([{"a": [1, 1], "b": [None, 1, 1]}])
    assert figures.moved == 1
    assert figures.switches == 0
    assert figures.association == pytest.approx((2 * 2 / 4 + 2 * 2 / 5) / 4, abs=5e-4)


def test_clips_without_people_have_no_figures() -> None:
    figures = track_figures([{}])
    assert figures.found is figures.association is figures.hota is figures.switches_per_100 is None


@given(CLIPS)
def test_every_share_is_between_zero_and_one(clips: list[dict[str, list[int | None]]]) -> None:
    figures = track_figures(clips)
    for share in (figures.found, figures.association, figures.hota):
        assert share is None or 0 <= share <= 1
