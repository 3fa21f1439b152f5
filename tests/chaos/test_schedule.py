"""The schedule of a storm: enough faults of each kind, reproducible, within their phases."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.chaos.schedule import (
    FULL,
    MIN_FAULTS,
    MIN_KILLS,
    PHASE,
    PLANNED,
    VARIANTS,
    Deck,
    make_schedule,
    required,
)


def planned(seed: int, duration: float) -> Counter[str]:
    return Counter(kind for phase in make_schedule(random.Random(seed), duration) for _, kind in phase)


@pytest.mark.parametrize("duration", [60.0, 150.0, FULL])
def test_a_run_of_any_length_schedules_more_faults_than_it_requires(duration: float) -> None:
    plan = planned(1, duration)
    assert all(plan[kind] >= required(count, duration) for kind, count in MIN_FAULTS.items())
    kills = {
        "worker": plan["worker"] + plan["inside record"] // 2 + plan["hostile worker"],
        "recorder": plan["recorder"] + plan["inside record"] // 2,
        "supervisor": plan["supervisor"] + 2 * plan["start up"] + plan["missing at start"],
    }
    assert all(kills[what] >= required(count, duration) for what, count in MIN_KILLS.items())
    assert set(MIN_KILLS.values()) == {50}


def test_ten_minutes_have_every_variant_of_a_fault() -> None:
    assert all(planned(1, FULL)[kind] >= len(variants) for kind, variants in VARIANTS.items())
    deck = Deck(random.Random(1))
    for kind, variants in VARIANTS.items():
        for _ in range(PLANNED[kind]):
            deck.count(kind, deck.next(kind))
        assert deck.dealt[kind].keys() == set(variants)


def test_the_seed_alone_determines_the_schedule() -> None:
    assert make_schedule(random.Random(7), FULL) == make_schedule(random.Random(7), FULL)
    assert make_schedule(random.Random(7), FULL) != make_schedule(random.Random(8), FULL)


def test_every_fault_is_scheduled_within_its_burst_in_order() -> None:
    for phase in make_schedule(random.Random(3), FULL):
        moments = [at for at, _ in phase]
        assert moments == sorted(moments)
        assert all(0 <= at <= PHASE for at in moments)
