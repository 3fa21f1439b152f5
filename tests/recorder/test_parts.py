"""The small parts: the loop, what stands, what is held in memory, who a process is, commands."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from maskwatch.domain import CameraState, CameraStatus, OccupancyMinute
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.recorder.commands import ForwardedCommands
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.unstored import UnstoredBuffer
from tests.fakes.samples import START, change, entry, incident, make_store, violation_id
from tests.fakes.sink import FakeSink

# --- what stands ------------------------------------------------------------------------------------


@given(numbers=st.permutations([1, 2, 3]))
def test_in_whatever_order_changes_come_the_newest_stands(numbers: list[int]) -> None:
    standing = CurrentState()
    for number in numbers:
        standing.subject(change(1, number))
        standing.subject(incident(1, number))
    assert standing.open_violations == [change(1, 3)]
    assert standing.open_incidents == [incident(1, 3)]


def test_what_is_closed_stands_no_longer() -> None:
    standing = CurrentState([change(1)], [incident()])
    standing.subject(change(1, 2, closed=True))
    standing.subject(incident(1, 2, ended=START))
    state = standing.state()
    assert not state.open_violations
    assert not state.open_incidents


def test_cameras_that_are_configured_no_longer_are_forgotten() -> None:
    standing = CurrentState()
    for name in ("door", "gate"):
        standing.camera(CameraStatus(name, CameraState.LIVE, "", START))
        standing.minute(OccupancyMinute(name, "", START, 1, 1, 1, 0, 0, 0, 1))
    standing.keep_cameras({"gate"})
    assert [status.camera for status in standing.state().cameras] == ["gate"]
    assert list(standing.state().occupancy) == ["gate"]


def test_an_older_minute_does_not_replace_a_newer_one() -> None:
    standing = CurrentState()
    newer = OccupancyMinute("door", "", START, 2, 2, 2, 0, 0, 0, 1)
    standing.minute(newer)
    standing.minute(OccupancyMinute("door", "", START - timedelta(minutes=1), 1, 1, 1, 0, 0, 0, 1))
    assert standing.state().occupancy == {"door": newer}


# --- memory -----------------------------------------------------------------------------------------


def test_memory_is_bounded_and_holds_no_pictures() -> None:
    memory = UnstoredBuffer(most=2)
    assert memory.room_for([entry(change(1)), entry(change(2))])
    memory.keep([entry(change(1), b"jpeg"), entry(change(2))])
    assert not memory.room_for([entry(change(3))])
    assert [item.picture for item in memory.entries()] == [None, None]


def test_what_memory_delivered_is_known_when_it_is_stored(tmp_path: Path) -> None:
    memory, store = UnstoredBuffer(), make_store(tmp_path, sinks=("mqtt", "people"))
    memory.keep([entry(change(1))])
    assert memory.delivered((violation_id(1), 1), "mqtt")
    store.record(memory.entries())
    assert not store.waiting("mqtt", 10)
    assert len(store.waiting("people", 10)) == 1
    store.close()


# --- commands ---------------------------------------------------------------------------------------


def test_commands_go_to_the_supervisor_and_their_results_back_to_the_sink_that_asked() -> None:
    sink, other, rung = FakeSink(), FakeSink("people"), list[int]()
    passed: list[Command] = []
    commands = ForwardedCommands(lambda: rung.append(1))
    snooze = Command(id="7", verb="snooze", target="door", seconds=60, origin="mqtt")
    commands.take(sink, snooze)
    commands.route(passed.append)
    assert (passed, rung, commands.asker("7")) == ([snooze], [1], sink)
    commands.done(CommandResult(id="7", ok=True))
    commands.done(CommandResult(id="7", ok=True))
    assert (len(sink.results), len(other.results), commands.asker("7")) == (1, 0, None)


def test_a_flood_of_commands_is_cut_off() -> None:
    sink = FakeSink()
    passed: list[Command] = []
    commands = ForwardedCommands(lambda: None)
    for index in range(1000):
        commands.take(sink, Command(id=str(index), verb="reload"))
    commands.route(passed.append)
    assert len(passed) == 100
