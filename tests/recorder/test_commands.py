"""The recorder executes its own commands, forwards the others, and answers each where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from maskwatch.clock import ManualClock
from maskwatch.ipc.messages import Command, CommandExecuted, CommandResult, SnapshotTaken
from maskwatch.recorder.commands import CommandHandler
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.sinks import SinkDeliveries
from maskwatch.recorder.snoozes import SnoozeManager
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START, change, entry, make_store, violation_id
from tests.fakes.sink import FakeSink


class CommandHarness:
    """A handler over a store with one violation; `sent` is what the supervisor receives."""

    def __init__(self, folder: Path) -> None:
        self.store = make_store(folder)
        self.store.changes.record([entry(change(1))])
        self.state, self.sink = CurrentState(cameras=("door",)), FakeSink()
        self.sent: list[msgspec.Struct] = []
        clock, unstored = ManualClock(START), UnstoredBuffer()
        self.snoozes = SnoozeManager(self.store, unstored, clock, self.state.update_snooze)
        intake = Intake(unstored, self.state, run="run", clock=clock, meter=Meter())
        self.handler = CommandHandler(intake, self.state, self.snoozes, self.sent.append, clock)

    def acknowledge(self, target: object, origin: str = "cli") -> CommandResult:
        command = Command(id="1", verb="acknowledge", target=str(target), origin=origin)
        return self.handler.execute(self.store, command)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[CommandHarness]:
    made = CommandHarness(tmp_path / "data")
    yield made
    made.store.close()


def test_an_acknowledged_violation_is_in_the_current_state(harness: CommandHarness) -> None:
    assert harness.acknowledge(violation_id(1)).ok
    assert not harness.acknowledge(violation_id(2)).ok
    assert harness.state.snapshot().acknowledged == {violation_id(1)}


def test_the_first_acknowledgement_is_kept_and_named_to_the_second(harness: CommandHarness) -> None:
    first = harness.acknowledge(violation_id(1))
    second = harness.acknowledge(violation_id(1), "link:guards")
    assert first.detail == "acknowledged"
    assert second.ok
    assert second.detail.startswith("acknowledged before, at ")
    assert second.detail.endswith("by cli")


def test_an_invalid_violation_id_is_refused(harness: CommandHarness) -> None:
    result = harness.acknowledge("nonsense")
    assert not result.ok
    assert "is no violation's id" in result.detail


@pytest.mark.parametrize(
    ("verb", "target", "ok"),
    [
        ("acknowledge", str(violation_id(1)), True),
        ("acknowledge", str(violation_id(2)), False),
        ("snooze", "door", True),
        ("snooze", "attic", False),
    ],
)
def test_own_verbs_are_executed_answered_and_reported_without_forwarding(
    harness: CommandHarness, verb: str, target: str, *, ok: bool
) -> None:
    command = Command(id="7", verb=verb, target=target, seconds=60, origin="mqtt")
    harness.handler.run(harness.store, harness.sink, command)
    assert harness.sent == [CommandExecuted(verb=verb, ok=ok)]
    assert [(result.id, result.ok) for result in harness.sink.results] == [("7", ok)]
    assert harness.snoozes.is_snoozed("door") is (verb == "snooze" and ok)


def test_other_verbs_are_forwarded_and_their_results_answered_once(harness: CommandHarness) -> None:
    other = FakeSink("people")
    command = Command(id="7", verb="reload", origin="mqtt")
    harness.handler.run(harness.store, harness.sink, command)
    assert (harness.sent, harness.sink.results) == ([command], [])
    for _ in range(2):
        harness.handler.finish(CommandResult(id="7", ok=True))
    assert (len(harness.sink.results), len(other.results)) == (1, 0)


def test_a_snapshot_goes_only_to_the_sink_that_requested_it(harness: CommandHarness) -> None:
    taken = SnapshotTaken(command="7", camera="door", at=START)
    refusal = harness.handler.deliver_snapshot(taken, b"jpeg")
    assert refusal.detail == "no client of the broker waits for this picture"
    command = Command(id="7", verb="snapshot", target="door")
    harness.handler.run(harness.store, harness.sink, command)
    assert harness.handler.deliver_snapshot(taken, b"jpeg").ok
    assert [(s.camera, s.jpeg) for s in harness.sink.snapshots] == [("door", b"jpeg")]


def test_commands_of_sinks_wake_the_loop_and_wait_for_it() -> None:
    sink, woken = FakeSink(), list[int]()
    deliveries = SinkDeliveries(
        CurrentState(), UnstoredBuffer(), lambda: woken.append(1), clock=ManualClock(), meter=Meter()
    )
    deliveries.start([sink])
    command = Command(id="7", verb="reload")
    sink.run_command(command)
    assert woken == [1]
    assert list(deliveries.commands()) == [(sink, command)]
    assert list(deliveries.commands()) == []
