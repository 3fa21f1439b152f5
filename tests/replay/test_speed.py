"""A replay measures how fast it is, and reports a machine that would be overloaded."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from maskwatch.analysis.results import FrameResult
from maskwatch.replay.replay import ReplayStep
from maskwatch.replay.speed import TimedSteps


def steps(moments: list[float], seconds: float = 0.0) -> Iterator[ReplayStep]:
    """Yield a step for each moment of a file, each after this many seconds."""
    for moment in moments:
        time.sleep(seconds)
        yield ReplayStep(None, moment, FrameResult())


def test_neither_the_first_step_nor_the_consumer_counts() -> None:
    timed = TimedSteps(steps([1.0, 2.0, 3.0], 0.05))
    for _ in timed:
        time.sleep(0.5)
    assert timed.media == 2.0
    assert 0.1 <= timed.seconds < 1.0


@pytest.mark.parametrize(("seconds", "too_slow"), [(20.0, True), (12.0, False)])
def test_a_machine_below_three_quarters_of_real_time_is_too_slow(seconds: float, too_slow: bool) -> None:
    timed = TimedSteps([])
    timed.media, timed.seconds = 10.0, seconds
    assert timed.too_slow is too_slow


def test_a_short_clip_shows_nothing_about_the_machine() -> None:
    timed = TimedSteps([])
    timed.media, timed.seconds = 2.0, 20.0
    assert not timed.too_slow
    assert list(timed) == []
