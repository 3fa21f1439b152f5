"""A keeper starts, watches, ends and replaces its child; time is told to it, children are fakes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import CameraState
from maskwatch.ipc.messages import Configure, Heartbeat, Metrics, Ready, Stop
from maskwatch.secrets import SecretUrl
from maskwatch.supervisor.child import ChildKind, ManagedChild, Phase
from maskwatch.supervisor.restart_policy import RestartPolicy
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.telemetry.catalogue import Owner
from maskwatch.telemetry.meter import MetricsSnapshot
from tests.fakes.child_process import FakeOwner, Nursery

LIMITS = Timeouts()
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
STANDSTILL = 20.0


def beat(
    state: CameraState = CameraState.LIVE,
    *,
    frames: int = 0,
    leave_by: float | None = None,
    attempt: int = 0,
) -> Heartbeat:
    return Heartbeat(
        state=state,
        reason="",
        since=NOON,
        leave_by=leave_by,
        frames=frames,
        last_frame=None,
        attempt=attempt,
    )


@dataclass
class Scene:
    """A keeper with its fake child, and the time."""

    keeper: ManagedChild
    nursery: Nursery
    owner: FakeOwner
    now: float = 100.0

    def passes(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass, ticking as the main loop does."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.keeper.reap(self.now)
            self.keeper.tick(self.now)

    def says(self, *messages: object) -> None:
        self.nursery.newest.says(*messages)  # type: ignore[arg-type]  # only messages are passed
        self.keeper.receive(self.now)

    def runs(self) -> None:
        """Bring the child up to a first heartbeat."""
        self.keeper.start(self.now)
        self.passes(0.25)
        self.says(Ready(), beat())

    def beats_for(self, seconds: float, **kept: object) -> None:
        """Send a heartbeat a second, with frames that advance unless `frames` is given."""
        for turn in range(int(seconds)):
            given = {"frames": turn + 1, **kept}
            self.says(beat(**given))  # type: ignore[arg-type]  # the helper's own keywords
            self.passes(1.0)


@pytest.fixture
def scene() -> Iterator[Scene]:
    camera = CameraConfig(name="hall", url=SecretUrl("rtsp://h/s"))
    configure = Configure(config=Config(cameras=(camera,)), recorder="/r", camera="hall")
    nursery, owner = Nursery(), FakeOwner(configure)
    policy = RestartPolicy(LIMITS, random.Random(3))
    kind = ChildKind("maskwatch.worker", Owner.WORKER, "hall")
    keeper = ManagedChild(kind, owner, LIMITS, policy, nursery, standstill=lambda: STANDSTILL)  # type: ignore[arg-type]  # a fake of the process
    yield Scene(keeper, nursery, owner)
    nursery.close()


def test_a_started_child_is_told_its_configuration_and_counts_as_running_once_ready(
    scene: Scene,
) -> None:
    scene.keeper.start(scene.now)
    scene.passes(0.25)
    assert scene.keeper.phase is Phase.STARTING
    scene.says(Ready())
    assert scene.keeper.phase is Phase.RUNNING
    assert scene.owner.watched == 1


def test_a_child_that_dies_is_replaced_after_a_pause(scene: Scene) -> None:
    scene.runs()
    scene.nursery.newest.ends(1)
    scene.passes(0.25)
    assert scene.owner.ends == [(1, "exited")]
    scene.passes(LIMITS.first_pause + 0.5)
    assert len(scene.nursery.children) == 2
    assert scene.keeper.restarts == 1


def test_a_child_killed_from_outside_is_counted_as_killed(scene: Scene) -> None:
    scene.runs()
    scene.nursery.newest.ends(-11)
    scene.passes(0.25)
    assert scene.owner.ends == [(-11, "killed")]
    assert "SIGSEGV" in scene.keeper.why


def test_a_child_that_sends_no_heartbeat_is_killed_and_replaced(scene: Scene) -> None:
    scene.runs()
    scene.passes(LIMITS.heartbeat - 1)
    assert not scene.nursery.newest.killed
    scene.passes(2)
    assert scene.nursery.children[0].killed
    assert scene.owner.ends == [(-9, "hung")]


def test_a_child_that_is_never_ready_is_killed_and_replaced(scene: Scene) -> None:
    scene.keeper.start(scene.now)
    scene.passes(LIMITS.ready + 1)
    assert scene.nursery.children[0].killed


def test_live_frames_that_stand_still_are_a_hang_although_heartbeats_come(scene: Scene) -> None:
    scene.runs()
    scene.beats_for(STANDSTILL - 3, frames=7)
    assert not scene.nursery.newest.killed
    scene.beats_for(5, frames=7)
    assert scene.nursery.children[0].killed


def test_a_worker_in_backoff_is_well_however_long_it_lasts(scene: Scene) -> None:
    scene.runs()
    scene.beats_for(400, frames=0, state=CameraState.BACKOFF, leave_by=60.0)
    assert not scene.nursery.newest.killed


def test_a_deadline_that_the_child_gave_itself_is_held_against_it(scene: Scene) -> None:
    scene.runs()
    for left in range(10, -10, -1):
        scene.says(beat(CameraState.CONNECTING, leave_by=float(left)))
        scene.passes(1.0)
    assert scene.nursery.children[0].killed


def test_a_hang_while_opening_hands_the_attempt_on_and_costs_no_budget(scene: Scene) -> None:
    scene.runs()
    for turn in range(LIMITS.budget + 5):
        scene.says(Ready(), beat(CameraState.CONNECTING, leave_by=1.0, attempt=turn))
        scene.passes(1.0 + LIMITS.overdue + 1.0)
        assert scene.keeper.phase is not Phase.QUARANTINED
        assert scene.nursery.newest.configure.attempt == turn + 1
    assert scene.keeper.policy.failures == 0


def test_a_crash_loop_ends_in_quarantine_and_gets_another_try_later(scene: Scene) -> None:
    scene.keeper.start(scene.now)
    for _ in range(LIMITS.budget + 1):
        while scene.keeper.pid is None:
            scene.passes(0.25)
        scene.nursery.newest.ends(1)
        scene.passes(0.25)
    assert scene.keeper.phase is Phase.QUARANTINED
    born = len(scene.nursery.children)
    scene.passes(0.7 * LIMITS.quarantine)
    assert len(scene.nursery.children) == born
    scene.passes(0.4 * LIMITS.quarantine)
    assert len(scene.nursery.children) == born + 1


def test_an_operator_s_start_ends_a_quarantine(scene: Scene) -> None:
    test_a_crash_loop_ends_in_quarantine_and_gets_another_try_later(scene)
    scene.nursery.newest.ends(1)
    scene.passes(0.25)
    assert scene.keeper.phase is Phase.QUARANTINED
    scene.keeper.start(scene.now)
    scene.passes(0.25)
    assert scene.keeper.phase is Phase.STARTING
    assert not scene.keeper.policy.distrusted


def test_a_machine_that_cannot_start_processes_is_tried_again(scene: Scene) -> None:
    scene.nursery.refuses = True
    scene.keeper.start(scene.now)
    scene.passes(0.5)
    assert scene.keeper.pid is None
    scene.nursery.refuses = False
    scene.passes(LIMITS.longest_pause)
    assert scene.keeper.pid is not None


def test_stop_asks_first_and_kills_only_when_that_takes_too_long(scene: Scene) -> None:
    scene.runs()
    scene.keeper.stop(scene.now)
    assert [type(m) for m in scene.nursery.newest.heard()] == [Stop]
    scene.passes(LIMITS.grace)
    assert not scene.nursery.newest.killed
    scene.passes(LIMITS.mercy + 0.5)
    assert scene.nursery.newest.killed
    assert scene.keeper.phase is Phase.IDLE
    assert scene.owner.ends == [(-9, "")]


def test_a_child_that_ends_when_told_is_neither_a_failure_nor_replaced(scene: Scene) -> None:
    scene.runs()
    scene.keeper.stop(scene.now)
    scene.nursery.newest.ends(0)
    scene.passes(60)
    assert scene.owner.ends == [(0, "")]
    assert len(scene.nursery.children) == 1
    assert scene.keeper.policy.failures == 0


def test_renewing_ends_one_and_starts_the_next_without_a_pause(scene: Scene) -> None:
    scene.runs()
    scene.keeper.renew(scene.now, "config")
    scene.nursery.newest.ends(0)
    scene.passes(0.5)
    assert len(scene.nursery.children) == 2
    assert scene.owner.ends == [(0, "config")]
    assert scene.keeper.policy.failures == 0


def test_a_worker_that_needs_too_much_memory_at_once_is_a_crash_loop(scene: Scene) -> None:
    for _ in range(LIMITS.budget + 1):
        if scene.keeper.phase is Phase.IDLE:
            scene.keeper.start(scene.now)
        while scene.keeper.phase is not Phase.STARTING:
            scene.passes(0.25)
        scene.says(Ready(), beat())
        scene.keeper.renew(scene.now, "memory")
        scene.nursery.newest.ends(0)
        scene.passes(0.25)
    assert scene.keeper.phase is Phase.QUARANTINED


def test_start_during_an_ordered_end_brings_the_child_back(scene: Scene) -> None:
    scene.runs()
    scene.keeper.stop(scene.now)
    scene.keeper.start(scene.now)
    scene.nursery.newest.ends(0)
    scene.passes(0.5)
    assert scene.keeper.phase is Phase.STARTING


def test_a_child_that_sends_rubbish_is_killed(scene: Scene) -> None:
    scene.runs()
    scene.nursery.newest.far.socket.send(b"\xff" * 64)
    scene.keeper.receive(scene.now)
    assert scene.nursery.newest.killed


def test_last_words_before_the_end_are_heard(scene: Scene) -> None:
    scene.runs()
    scene.nursery.newest.says(Metrics(snapshot=MetricsSnapshot()))
    scene.nursery.newest.ends(0)
    scene.passes(0.25)
    assert scene.owner.heard_messages == [Metrics(snapshot=MetricsSnapshot())]
