"""The state machine of a camera's connection."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from maskwatch.capture.reconnect import ReconnectDelays, ReconnectState, Timeouts
from maskwatch.domain import BlindReason, CameraState
from maskwatch.errors import SourceRefusedError, SourceSilentError, SourceUnauthorizedError

_REFUSED = SourceRefusedError("refused")
_TIMEOUTS = Timeouts(open=10, stall=5, grace=2)


def _machine(attempt: int = 0, seed: int = 0) -> ReconnectState:
    return ReconnectState(0.0, timeouts=_TIMEOUTS, rng=random.Random(seed), attempt=attempt)


def test_a_new_camera_is_connected_immediately() -> None:
    machine = _machine()
    assert machine.due(0.0)
    machine.connecting(0.0)
    assert machine.state is CameraState.CONNECTING


def test_a_connection_is_not_live_before_its_first_frame() -> None:
    machine = _machine()
    machine.connecting(0.0)
    assert machine.leave_by == 12.0  # the time to open, and the supervisor's grace
    machine.frame(3.0)
    assert machine.state is CameraState.LIVE
    assert machine.leave_by == 10.0


def test_frames_postpone_the_moment_at_which_a_worker_counts_as_hung() -> None:
    machine = _machine()
    machine.connecting(0.0)
    for at in (1.0, 4.0, 8.0):
        machine.frame(at)
    assert machine.leave_by == 15.0


def test_a_failure_is_a_stall_until_the_old_connection_is_gone() -> None:
    machine = _machine()
    machine.connecting(0.0)
    machine.frame(1.0)
    machine.failed(SourceSilentError("no data"), 7.0)
    assert (machine.state, machine.reason) == (CameraState.STALLED, "no data")
    assert machine.leave_by == 14.0
    assert not machine.due(1e9)
    machine.closed(8.0)
    assert machine.state is CameraState.BACKOFF
    assert machine.reason == "no data"
    assert machine.due(machine.retry_at)
    assert not machine.due(machine.retry_at - 0.01)


def test_a_good_frame_ends_the_row_of_failures() -> None:
    machine = _machine()
    for at in range(5):
        machine.connecting(float(at))
        machine.failed(_REFUSED, float(at))
        machine.closed(float(at))
    assert machine.attempt == 5
    machine.connecting(100.0)
    assert machine.attempt == 5
    machine.frame(101.0)
    assert machine.attempt == 0


def test_a_replacement_continues_the_backoff_of_a_killed_worker() -> None:
    waits = [_machine(attempt=5, seed=seed).retry_at for seed in range(200)]
    assert max(waits) > 10.0
    assert max(waits) <= 16.0
    machine = _machine(attempt=5)
    assert machine.state is CameraState.BACKOFF
    machine.connecting(20.0)
    machine.failed(_REFUSED, 20.0)
    assert machine.attempt == 6


def test_a_wrong_password_is_not_tried_again_for_minutes() -> None:
    for seed in range(100):
        machine = _machine(seed=seed)
        machine.connecting(0.0)
        machine.failed(SourceUnauthorizedError("wrong"), 0.0)
        assert 150.0 <= machine.retry_at <= 300.0


def test_a_blind_camera_stays_connected_and_can_recover() -> None:
    machine = _machine()
    machine.health(BlindReason.BLACK, 0.0)
    assert machine.state is CameraState.BACKOFF  # no picture, no verdict on it
    machine.connecting(0.0)
    machine.frame(1.0)
    machine.health(BlindReason.BLACK, 1.0)
    assert (machine.state, machine.reason) == (CameraState.BLIND, "black")
    machine.frame(2.0)
    assert machine.state is CameraState.BLIND
    assert machine.leave_by == 9.0
    machine.health(BlindReason.FROZEN, 3.0)
    assert machine.reason == "frozen"
    machine.health(None, 4.0)
    assert machine.state is CameraState.LIVE


def test_waits_between_attempts_grow_from_a_second_to_a_minute() -> None:
    delays = ReconnectDelays().default
    assert [delays.ceiling(attempt) for attempt in (1, 2, 3, 7, 100)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert delays.floor == 0.2
    assert delays.min_fraction == 0.0


class ConnectionMachine(RuleBasedStateMachine):
    """Any sequence of events keeps the invariants."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.machine = _machine()
        self.frames_since_failure = 0

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.machine.due(self.now))
    @rule()
    def connect(self) -> None:
        self.machine.connecting(self.now)

    @precondition(
        lambda self: self.machine.state in {CameraState.CONNECTING, CameraState.LIVE, CameraState.BLIND}
    )
    @rule(blind=st.none() | st.sampled_from(BlindReason))
    def frame(self, blind: BlindReason | None) -> None:
        self.machine.frame(self.now)
        self.machine.health(blind, self.now)
        assert self.machine.attempt == 0
        assert (self.machine.state is CameraState.BLIND) == (blind is not None)

    @precondition(
        lambda self: self.machine.state in {CameraState.CONNECTING, CameraState.LIVE, CameraState.BLIND}
    )
    @rule()
    def fail(self) -> None:
        before = self.machine.attempt
        self.machine.failed(_REFUSED, self.now)
        assert self.machine.attempt == before + 1
        assert self.machine.retry_at >= self.now + self.machine.delays.default.floor

    @rule()
    def close(self) -> None:
        self.machine.closed(self.now)
        assert self.machine.state is not CameraState.STALLED

    @invariant()
    def a_connection_is_only_made_when_none_is_left(self) -> None:
        if self.machine.due(self.now):
            assert self.machine.state is CameraState.BACKOFF

    @invariant()
    def every_state_has_an_end(self) -> None:
        assert self.machine.leave_by is not None


TestConnectionMachine = ConnectionMachine.TestCase
