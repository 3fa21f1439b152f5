"""A violation is opened once, closed once, and its times are in order under any clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.analysis.violation_lifecycle import ViolationLifecycle
from maskwatch.domain import Box, Change, ChangeKind, CloseReason, Verdict, Violation
from tests.fakes.vision import EPOCH

_BOX = Box(0.1, 0.1, 0.2, 0.3)


def _at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def _lifecycle(cooldown: float = 10.0) -> ViolationLifecycle:
    violation = Violation(
        id=UUID(int=1),
        camera="c",
        zone="",
        zones=("",),
        track=1,
        verdict=Verdict.NO_MASK,
        first_seen=_at(0),
        started=_at(1),
        ended=None,
        close_reason=None,
        confidence=0.99,
        evidence=7.0,
        readings=3,
        face_height=50.0,
        box=_BOX,
        model="m",
    )
    return ViolationLifecycle(violation, cooldown)


def test_the_numbers_of_the_changes_count_from_one_without_a_gap() -> None:
    lifecycle = _lifecycle(cooldown=0.0)
    changes: list[Change | None] = [lifecycle.open(1.0)]
    lifecycle.set_best_face(_BOX, 60.0)
    changes += [lifecycle.update(_at(2), 2.0), lifecycle.close(_at(3), CloseReason.LEFT, 3.0)]
    assert [change.number for change in changes if change] == [1, 2, 3]
    assert [change.kind for change in changes if change] == list(ChangeKind)


def test_an_update_within_the_cooldown_is_held_back_counted_and_sent_after_it() -> None:
    lifecycle = _lifecycle(cooldown=10.0)
    lifecycle.open(1.0)
    lifecycle.set_best_face(_BOX, 60.0)
    assert lifecycle.update(_at(5), 5.0) is None
    assert lifecycle.updates_held == 1
    late = lifecycle.update(_at(12), 12.0)
    assert late is not None
    assert late.violation.face_height == 60.0


def test_the_cooldown_counts_from_what_was_sent_not_from_what_was_held_back() -> None:
    lifecycle = _lifecycle(cooldown=10.0)
    lifecycle.open(0.0)
    lifecycle.set_best_face(_BOX, 60.0)
    for moment in (3.0, 6.0, 9.0):
        assert lifecycle.update(_at(moment), moment) is None
    assert lifecycle.update(_at(10), 10.0) is not None


def test_an_end_is_never_held_back_and_includes_pending_updates() -> None:
    lifecycle = _lifecycle(cooldown=100.0)
    lifecycle.open(1.0)
    lifecycle.set_best_face(_BOX, 99.0)
    closed = lifecycle.close(_at(2), CloseReason.MASKED, 2.0)
    assert closed.violation.face_height == 99.0
    assert closed.violation.close_reason is CloseReason.MASKED


def test_a_violation_without_news_is_restated_each_minute_only() -> None:
    lifecycle = _lifecycle(cooldown=0.0)
    lifecycle.open(0.0)
    lifecycle.assess(replace(lifecycle.violation, evidence=7.5, readings=4))
    assert lifecycle.update(_at(59), 59.0) is None
    assert lifecycle.update(_at(60), 60.0) is not None


def test_another_zone_is_worth_an_update() -> None:
    lifecycle = _lifecycle(cooldown=0.0)
    lifecycle.open(0.0)
    lifecycle.assess(replace(lifecycle.violation, zones=("", "till"), evidence=8.0, readings=5))
    change = lifecycle.update(_at(1), 1.0)
    assert change is not None
    assert change.violation.zones == ("", "till")


def test_invalid_transitions_are_refused() -> None:
    lifecycle = _lifecycle()
    with pytest.raises(ValueError, match="not open"):
        lifecycle.close(_at(1), CloseReason.LEFT, 1.0)
    lifecycle.open(1.0)
    with pytest.raises(ValueError, match="already"):
        lifecycle.open(2.0)
    lifecycle.close(_at(3), CloseReason.LEFT, 3.0)
    for again in (
        lambda: lifecycle.close(_at(4), CloseReason.LEFT, 4.0),
        lambda: lifecycle.update(_at(4), 4.0),
    ):
        with pytest.raises(ValueError, match="not open"):
            again()


@given(st.lists(st.tuples(st.booleans(), st.floats(-1e6, 1e6), st.floats(-1e3, 1e3)), max_size=20))
def test_any_jump_of_the_clock_leaves_the_times_in_order(steps: list[tuple[bool, float, float]]) -> None:
    lifecycle = _lifecycle(cooldown=1.0)
    changes = [lifecycle.open(0.0)]
    for better, wall, moment in steps:
        if better:
            lifecycle.set_best_face(_BOX, 60.0)
        change = lifecycle.update(_at(wall), moment)
        changes += [change] if change else []
    changes.append(lifecycle.close(_at(-5e5), CloseReason.LEFT, 0.0))
    times = [change.at for change in changes]
    assert times == sorted(times)
    assert [change.number for change in changes] == list(range(1, len(changes) + 1))
    last = changes[-1].violation
    assert last.ended is not None
    assert last.first_seen <= last.started <= last.ended
