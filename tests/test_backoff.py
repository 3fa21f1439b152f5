"""How long the waits between attempts are."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.backoff import Backoff, RetryTimer

_seconds = st.floats(0.01, 1000.0)


@given(
    first=_seconds,
    cap=_seconds,
    floor=st.floats(0.0, 10.0),
    min_fraction=st.floats(0.0, 1.0),
    failures=st.integers(1, 10_000),
    seed=st.integers(),
)
def test_a_wait_stays_within_its_bounds(
    first: float, cap: float, floor: float, min_fraction: float, failures: int, seed: int
) -> None:
    backoff = Backoff(first, cap, floor, min_fraction)
    wait = backoff.wait(failures, random.Random(seed))
    ceiling = backoff.ceiling(failures)
    tolerance = 1e-9 * ceiling
    assert floor <= wait + tolerance
    assert min_fraction * ceiling <= wait + tolerance
    assert wait <= ceiling + tolerance
    assert ceiling <= max(cap, floor)
    assert ceiling <= backoff.ceiling(failures + 1)


def test_the_upper_bound_doubles_with_each_failure_up_to_the_cap() -> None:
    backoff = Backoff(first=0.5, cap=3.0)
    assert [backoff.ceiling(failures) for failures in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_jitter_is_full_by_default() -> None:
    rng = random.Random(0)
    waits = sorted(Backoff(first=64.0, cap=64.0).wait(1, rng) for _ in range(1000))
    assert waits[0] < 1.0
    assert waits[500] == pytest.approx(32.0, abs=4.0)
    assert waits[-1] > 63.0


def test_a_minimum_fraction_narrows_the_jitter() -> None:
    rng = random.Random(0)
    backoff = Backoff(first=100.0, cap=100.0, min_fraction=0.8)
    waits = sorted(backoff.wait(1, rng) for _ in range(1000))
    assert 80.0 <= waits[0] < 81.0
    assert 99.0 < waits[-1] <= 100.0


def test_a_retry_timer_is_due_until_the_first_failure_and_after_each_wait() -> None:
    timer = RetryTimer(Backoff(first=1.0, cap=60.0, min_fraction=0.1), random.Random(0))
    assert timer.due(0.0)
    wait = timer.failed(100.0)
    assert 0.1 <= wait <= 1.0
    assert not timer.due(100.0)
    assert not timer.due(99.99 + wait)
    assert timer.due(100.01 + wait)


def test_a_success_ends_the_row_of_failures() -> None:
    timer = RetryTimer(Backoff(first=1.0, cap=64.0, min_fraction=1.0), random.Random(0))
    assert [timer.failed(0.0) for _ in range(4)] == [1.0, 2.0, 4.0, 8.0]
    timer.succeeded()
    assert timer.failures == 0
    assert timer.due(0.0)
    assert timer.failed(0.0) == 1.0
