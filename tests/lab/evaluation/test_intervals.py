"""The intervals match published values, and are wider for fewer observations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.lab.evaluation.intervals import median, rate_per_hour, ratio, share


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (95, 100, 0.8883, 0.9785)],
)
def test_a_share_has_wilsons_interval(hits: int, of: int, low: float, high: float) -> None:
    estimate = share(hits, of)
    assert estimate.value == hits / of
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=2e-4)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39)]
)
def test_a_count_in_an_hour_has_poissons_interval(count: int, low: float, high: float) -> None:
    estimate = rate_per_hour(count, 3600)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), rel=0.02, abs=0.02)


def test_without_observations_there_is_no_figure_instead_of_zero() -> None:
    for estimate in (share(0, 0), rate_per_hour(0, 0), median([]), ratio([])):
        assert estimate.value is None
        assert estimate.text() == "-"


@given(st.integers(1, 200), st.data())
def test_the_figure_lies_in_its_interval(of: int, data: st.DataObject) -> None:
    estimate = share(data.draw(st.integers(0, of)), of)
    assert estimate.low is not None
    assert estimate.high is not None
    assert 0 <= estimate.low <= (estimate.value or 0) + 1e-12
    assert (estimate.value or 0) <= estimate.high + 1e-12 <= 1 + 1e-12


def test_more_clips_narrow_the_interval_of_the_median() -> None:
    few = median([[0.2], [0.9], [0.6], [1.4]])
    many = median([[0.2], [0.9], [0.6], [1.4]] * 20)
    assert few.value == many.value == pytest.approx(0.75)
    assert (few.high or 0) - (few.low or 0) > (many.high or 0) - (many.low or 0)


def test_a_ratio_sums_before_it_divides() -> None:
    estimate = ratio([(1, 10), (0, 90)])
    assert estimate.value == 0.01
    assert estimate.of == 100


def test_the_same_numbers_give_the_same_interval_every_time() -> None:
    groups = [[0.1, 0.5], [2.0], [0.7, 0.8, 0.9]]
    assert median(groups) == median(groups)


def test_a_figure_is_written_with_its_interval() -> None:
    assert share(9, 10).text(2, " s") == "0.90 s (0.60 to 0.98)"
