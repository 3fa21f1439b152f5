"""The current state holds the newest of everything, and forgets what has ended."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from maskwatch.domain import CameraState, CameraStatus, OccupancyMinute, Snooze
from maskwatch.recorder.current_state import CurrentState
from tests.fakes.samples import START, change, incident, violation_id


@given(numbers=st.permutations([1, 2, 3]))
def test_the_newest_change_wins_in_any_order_of_arrival(numbers: list[int]) -> None:
    state = CurrentState()
    for number in numbers:
        state.update_subject(change(1, number))
        state.update_subject(incident(1, number))
    assert state.open_violations == [change(1, 3)]
    assert state.open_incidents == [incident(1, 3)]


def test_what_has_ended_is_removed() -> None:
    state = CurrentState([change(1)], [incident()])
    state.update_subject(change(1, 2, closed=True))
    state.update_subject(incident(1, 2, ended=START))
    snapshot = state.snapshot()
    assert not snapshot.open_violations
    assert not snapshot.open_incidents


def test_cameras_that_are_no_longer_configured_are_forgotten() -> None:
    state = CurrentState()
    for name in ("door", "gate"):
        state.update_camera(CameraStatus(CameraState.LIVE, "", START, name))
        state.update_minute(OccupancyMinute(name, "", START, 1, 1, 1, 0, 0, 0, 1))
        state.update_snooze(Snooze(name, START, START))
    state.configure_cameras({"gate"})
    snapshot = state.snapshot()
    assert [status.camera for status in snapshot.cameras] == ["gate"]
    assert [snooze.camera for snooze in snapshot.snoozes] == ["gate"]
    assert list(snapshot.occupancy) == ["gate"]


def test_an_older_minute_does_not_replace_a_newer_one() -> None:
    state = CurrentState()
    newer = OccupancyMinute("door", "", START, 2, 2, 2, 0, 0, 0, 1)
    state.update_minute(newer)
    state.update_minute(OccupancyMinute("door", "", START - timedelta(minutes=1), 1, 1, 1, 0, 0, 0, 1))
    assert state.snapshot().occupancy == {"door": newer}


def test_only_the_newest_thousand_acknowledgements_are_kept() -> None:
    state = CurrentState()
    for index in range(1, 1102):
        state.acknowledge(violation_id(index))
    kept = state.snapshot().acknowledged
    assert len(kept) == 1000
    assert violation_id(1101) in kept
    assert violation_id(101) not in kept
