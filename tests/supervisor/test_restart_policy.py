"""How soon a child that failed comes back."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from maskwatch.supervisor.restart_policy import RestartPolicy
from maskwatch.supervisor.timeouts import Timeouts

LIMITS = Timeouts()


def a_policy(seed: int = 1) -> RestartPolicy:
    return RestartPolicy(LIMITS, random.Random(seed))


@given(seed=st.integers(0, 10_000))
def test_pauses_are_jittered_and_their_bound_doubles_up_to_the_budget(seed: int) -> None:
    policy = a_policy(seed)
    for turn in range(LIMITS.budget):
        pause = policy.failed(float(turn))
        assert not pause.quarantined
        assert 0 <= pause.seconds <= min(LIMITS.first_pause * 2**turn, LIMITS.longest_pause)


def test_a_hundred_children_that_die_together_do_not_come_back_together() -> None:
    pauses = {round(a_policy(seed).failed(0.0).seconds, 4) for seed in range(100)}
    assert len(pauses) > 90


def test_one_failure_more_than_the_budget_within_the_window_is_quarantine() -> None:
    policy = a_policy()
    pauses = [policy.failed(float(turn)) for turn in range(LIMITS.budget + 1)]
    assert [pause.quarantined for pause in pauses] == [False] * LIMITS.budget + [True]
    assert policy.distrusted
    assert pauses[-1].seconds >= 0.8 * LIMITS.quarantine


def test_failures_spread_over_days_are_no_crash_loop() -> None:
    policy = a_policy()
    assert not any(policy.failed(turn * 2 * LIMITS.window).quarantined for turn in range(50))


def test_each_quarantine_in_succession_is_longer_up_to_a_cap() -> None:
    policy = a_policy()
    for turn in range(LIMITS.budget):
        policy.failed(float(turn))
    now, lengths = 10.0, []
    for _ in range(12):
        pause = policy.failed(now)
        assert pause.quarantined
        lengths.append(pause.seconds)
        now += pause.seconds + 5
    assert lengths[1] > lengths[0]
    assert max(lengths) <= LIMITS.longest_quarantine
    assert min(lengths[-3:]) >= 0.8 * LIMITS.longest_quarantine


def test_a_child_that_runs_a_whole_window_is_trusted_again() -> None:
    policy = a_policy()
    for turn in range(LIMITS.budget + 1):
        policy.failed(float(turn))
    policy.ran(LIMITS.window - 1)
    assert policy.distrusted
    policy.ran(LIMITS.window)
    assert not policy.distrusted
    assert not policy.failed(5000.0).quarantined
