"""The storm's plan: enough of everything, the same for the same seed, within its gusts."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.chaos.timetable import FULL, GUST, KILLS, LEAST, least, timetable


def planned(seed: int, duration: float) -> Counter[str]:
    return Counter(kind for gust in timetable(random.Random(seed), duration) for _, kind in gust)


@pytest.mark.parametrize("duration", [60.0, 150.0, FULL])
def test_a_run_of_any_length_schedules_more_faults_than_it_requires(duration: float) -> None:
    plan = planned(1, duration)
    # Every second death inside `record` is a recorder's, the others are workers'.
    plan["recorder"] += plan["inside record"] // 2
    plan["worker"] += plan["inside record"] // 2
    assert all(plan[kind] >= least(count, duration) for kind, count in LEAST.items())
    assert all(least(LEAST[kind], FULL) == 50 for kind in KILLS)


def test_the_seed_alone_determines_the_schedule() -> None:
    assert timetable(random.Random(7), FULL) == timetable(random.Random(7), FULL)
    assert timetable(random.Random(7), FULL) != timetable(random.Random(8), FULL)


def test_every_fault_is_scheduled_within_its_burst_in_order() -> None:
    for gust in timetable(random.Random(3), FULL):
        moments = [at for at, _ in gust]
        assert moments == sorted(moments)
        assert all(0 <= at <= GUST for at in moments)
