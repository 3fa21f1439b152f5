"""The schedule of a storm: enough faults of each kind, reproducible, within their phases."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.chaos.schedule import FULL, KILLS, MIN_FAULTS, PHASE, make_schedule, required


def planned(seed: int, duration: float) -> Counter[str]:
    return Counter(kind for phase in make_schedule(random.Random(seed), duration) for _, kind in phase)


@pytest.mark.parametrize("duration", [60.0, 150.0, FULL])
def test_a_run_of_any_length_schedules_more_faults_than_it_requires(duration: float) -> None:
    plan = planned(1, duration)
    # Half of the kills inside `record` hit a recorder, the others a worker.
    plan["recorder"] += plan["inside record"] // 2
    plan["worker"] += plan["inside record"] // 2
    assert all(plan[kind] >= required(count, duration) for kind, count in MIN_FAULTS.items())
    assert all(required(MIN_FAULTS[kind], FULL) == 50 for kind in KILLS)


def test_the_seed_alone_determines_the_schedule() -> None:
    assert make_schedule(random.Random(7), FULL) == make_schedule(random.Random(7), FULL)
    assert make_schedule(random.Random(7), FULL) != make_schedule(random.Random(8), FULL)


def test_every_fault_is_scheduled_within_its_burst_in_order() -> None:
    for phase in make_schedule(random.Random(3), FULL):
        moments = [at for at, _ in phase]
        assert moments == sorted(moments)
        assert all(0 <= at <= PHASE for at in moments)
