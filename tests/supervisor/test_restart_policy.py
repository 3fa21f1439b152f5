"""How soon a failed child is restarted."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from maskwatch.supervisor.restart_policy import RestartPolicy
from maskwatch.supervisor.timeouts import Timeouts

TIMEOUTS = Timeouts()


def make_policy(seed: int = 1) -> RestartPolicy:
    return RestartPolicy(TIMEOUTS, random.Random(seed))


@given(seed=st.integers(0, 10_000))
def test_the_bound_of_the_jittered_pauses_doubles_up_to_the_budget(seed: int) -> None:
    policy = make_policy(seed)
    for turn in range(TIMEOUTS.restart_budget):
        pause = policy.failed(float(turn))
        assert not pause.quarantined
        assert 0 <= pause.seconds <= min(TIMEOUTS.initial_backoff * 2**turn, TIMEOUTS.max_backoff)


def test_a_hundred_children_that_fail_together_do_not_restart_together() -> None:
    pauses = {round(make_policy(seed).failed(0.0).seconds, 4) for seed in range(100)}
    assert len(pauses) > 90


def test_one_failure_more_than_the_budget_within_the_window_is_quarantine() -> None:
    policy = make_policy()
    pauses = [policy.failed(float(turn)) for turn in range(TIMEOUTS.restart_budget + 1)]
    assert [pause.quarantined for pause in pauses] == [False] * TIMEOUTS.restart_budget + [True]
    assert policy.on_probation
    assert pauses[-1].seconds >= 0.8 * TIMEOUTS.quarantine


def test_failures_spread_over_days_are_not_a_crash_loop() -> None:
    policy = make_policy()
    assert not any(policy.failed(turn * 2 * TIMEOUTS.restart_window).quarantined for turn in range(50))


def test_each_quarantine_in_succession_is_longer_up_to_a_cap() -> None:
    policy = make_policy()
    for turn in range(TIMEOUTS.restart_budget):
        policy.failed(float(turn))
    now, lengths = 10.0, []
    for _ in range(12):
        pause = policy.failed(now)
        assert pause.quarantined
        lengths.append(pause.seconds)
        now += pause.seconds + 5
    assert lengths[1] > lengths[0]
    assert max(lengths) <= TIMEOUTS.max_quarantine
    assert min(lengths[-3:]) >= 0.8 * TIMEOUTS.max_quarantine


def test_a_child_that_runs_for_a_whole_window_ends_its_probation() -> None:
    policy = make_policy()
    for turn in range(TIMEOUTS.restart_budget + 1):
        policy.failed(float(turn))
    policy.has_run(TIMEOUTS.restart_window - 1)
    assert policy.on_probation
    policy.has_run(TIMEOUTS.restart_window)
    assert not policy.on_probation
    assert not policy.failed(5000.0).quarantined


def test_what_is_not_available_is_never_answered_by_quarantine() -> None:
    policy = RestartPolicy(TIMEOUTS, random.Random(1))
    pauses = [policy.postponed() for _ in range(100)]
    assert not any(pause.quarantined for pause in pauses)
    assert max(pause.seconds for pause in pauses) <= TIMEOUTS.max_backoff
    assert not policy.on_probation
