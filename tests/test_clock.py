"""Two clocks behind one protocol."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.clock import Clock, ManualClock, SystemClock

seconds = st.floats(0, 1e6, allow_nan=False)


def test_the_system_clock_is_in_utc_and_its_monotonic_time_does_not_go_back() -> None:
    clock: Clock = SystemClock()
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()


def test_a_manual_clock_stands_still_until_it_is_advanced() -> None:
    start = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)
    clock = ManualClock(start)
    assert (clock.now(), clock.now(), clock.monotonic()) == (start, start, 0.0)


@given(st.lists(seconds, max_size=20))
def test_both_times_of_a_manual_clock_go_together(steps: list[float]) -> None:
    clock = ManualClock()
    start = clock.now()
    for step in steps:
        clock.advance(step)
    assert clock.monotonic() == pytest.approx(sum(steps))
    assert (clock.now() - start).total_seconds() == pytest.approx(sum(steps), abs=1e-4)


def test_monotonic_time_cannot_go_back() -> None:
    clock = ManualClock()
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-0.1)
    assert clock.monotonic() == 0.0


def test_a_manual_clock_ignores_daylight_saving() -> None:
    clock = ManualClock(datetime(2026, 3, 29, 0, 30, tzinfo=UTC))
    clock.advance(3600)
    assert clock.now() == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
