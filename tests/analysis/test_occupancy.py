"""People are counted once per minute and zone, by verdict."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.analysis.occupancy import Occupancy
from maskwatch.domain import OccupancyMinute, Verdict
from tests.fakes.vision import EPOCH


def _at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_each_person_counts_once_with_the_latest_verdict() -> None:
    counts = Occupancy("c")
    counts.count({1: ("", Verdict.UNKNOWN)}, EPOCH)
    counts.count({1: ("", Verdict.NO_MASK), 2: ("", Verdict.MASK)}, EPOCH + _at(10))
    counts.count({3: ("", Verdict.UNKNOWN)}, EPOCH + _at(50))
    (row,) = counts.count({}, EPOCH + _at(61))
    assert row == OccupancyMinute("c", "", EPOCH, 3, 2, 1, 1, 0, 1, 2)


def test_a_person_counts_in_each_zone_that_they_walk_through() -> None:
    counts = Occupancy("c")
    counts.count({1: ("door", Verdict.MASK)}, EPOCH)
    counts.count({1: ("till", Verdict.MASK)}, EPOCH + _at(5))
    rows = counts.count({}, EPOCH + _at(60))
    assert [(row.zone, row.seen, row.masked) for row in rows] == [("door", 1, 1), ("till", 1, 1)]


def test_a_minute_without_people_makes_no_row() -> None:
    counts = Occupancy("c")
    assert counts.count({}, EPOCH) == []
    assert counts.count({}, EPOCH + _at(300)) == []
    assert counts.close() == []


def test_the_unfinished_minute_is_returned_once_at_the_end() -> None:
    counts = Occupancy("c")
    counts.count({1: ("", Verdict.MASK)}, EPOCH + _at(70))
    assert [row.minute for row in counts.close()] == [EPOCH + _at(60)]
    assert counts.close() == []


@pytest.mark.long
@given(
    st.lists(
        st.tuples(
            st.floats(-300, 300),
            st.dictionaries(
                st.integers(1, 5), st.tuples(st.sampled_from(["", "a"]), st.sampled_from(list(Verdict)))
            ),
        ),
        max_size=25,
    )
)
def test_any_clock_gives_consistent_rows_and_no_minute_twice(
    steps: list[tuple[float, dict[int, tuple[str, Verdict]]]],
) -> None:
    counts = Occupancy("c")
    rows = [row for seconds, people in steps for row in counts.count(people, EPOCH + _at(seconds))]
    rows += counts.close()
    keys = [(row.zone, row.minute) for row in rows]
    assert len(set(keys)) == len(keys)
    for row in rows:
        assert row.seen == row.judged + row.unknown
        assert row.judged == row.masked + row.unmasked + row.incorrect
        assert 1 <= row.peak <= row.seen
