"""Commands: taken once, limited in rate, answered, and never a reason to fall over."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.alerts.mqtt.commands import CommandResponse, MqttCommandHandler
from maskwatch.alerts.mqtt.connection import Received
from maskwatch.alerts.mqtt.topics import Topic, Topics
from maskwatch.ipc.messages import Command, CommandResult
from tests.alerts.conftest import MakeSink
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.recorder_side import FakeRecorder

TOPICS = Topics("maskwatch", "gate 1")


def desk() -> MqttCommandHandler:
    return MqttCommandHandler(TOPICS, "gate 1")


def message(verb: str = "snooze", payload: bytes = b"", *, retained: bool = False) -> Received:
    topic = Topic.NODE_COMMAND if verb in {"acknowledge", "reload"} else Topic.CAMERA_COMMAND
    return Received(TOPICS.of(topic, camera="door", verb=verb), payload, retained, b"corr")


def taken(desk_: MqttCommandHandler, arrived: Received, now: float = 100.0) -> Command:
    command = desk_.take(arrived, now)
    assert isinstance(command, Command), command
    return command


def refusal(desk_: MqttCommandHandler, arrived: Received, now: float = 100.0) -> str:
    answer = desk_.take(arrived, now)
    assert isinstance(answer, CommandResponse), answer
    assert not answer.result.ok
    return answer.result.detail


def test_a_camera_command_names_its_camera_and_is_answered_with_the_senders_id() -> None:
    one = desk()
    command = taken(one, message(payload=b'{"id": "abc", "seconds": 600}'))
    assert (command.verb, command.target, command.seconds, command.origin) == (
        "snooze",
        "door",
        600,
        "mqtt",
    )
    answer = one.done(CommandResult(id=command.id, ok=True, detail="until 12:10"))
    assert answer is not None
    assert (answer.result.id, answer.result.ok, answer.result.detail) == ("abc", True, "until 12:10")
    assert (answer.result.verb, answer.result.target, answer.correlation) == ("snooze", "door", b"corr")


def test_an_empty_message_means_all_defaults() -> None:
    assert taken(desk(), message("enable")).seconds == 0


def test_enable_turns_into_disable_for_a_switch_with_one_topic() -> None:
    assert taken(desk(), message("enable", b'{"on": false}')).verb == "disable"
    assert taken(desk(), message("enable", b'{"on": true}')).verb == "enable"


def test_acknowledge_names_a_violation() -> None:
    assert taken(desk(), message("acknowledge", b'{"target": "x"}')).target == "x"
    assert "id of a violation" in refusal(desk(), message("acknowledge"))


def test_a_command_seen_before_is_not_run_again_but_answered_again() -> None:
    one = desk()
    again = message(payload=b'{"id": "abc"}')
    command = taken(one, again)
    assert one.take(again, 100.0) is None
    one.done(CommandResult(id=command.id, ok=True))
    repeated = one.take(again, 100.0)
    assert isinstance(repeated, CommandResponse)
    assert repeated.result.ok


def test_a_retained_command_is_an_old_wish_and_ignored() -> None:
    assert desk().take(message(retained=True), 0) is None


@pytest.mark.parametrize("verb", ["format", "", "reload"])
def test_a_verb_that_is_not_the_cameras_is_answered_with_those_that_are(verb: str) -> None:
    topic = f"{TOPICS.root}/camera/door/command/{verb}"
    assert "expected disable, enable, snapshot, snooze" in refusal(
        desk(), Received(topic, b"", retained=False)
    )
    answer = desk().take(Received(topic, b'{"id": "7"}', retained=False), 0)
    assert isinstance(answer, CommandResponse)
    assert answer.result.id == "7"


def test_other_topics_are_not_the_desks_concern() -> None:
    assert not desk().concerns(Received(f"{TOPICS.root}/camera/door/state", b"", retained=False))


def test_a_flood_is_refused_and_the_refusals_are_limited_too() -> None:
    one = desk()
    outcomes = [one.take(message(), 100.0) for _ in range(1000)]
    assert sum(isinstance(each, Command) for each in outcomes) == 10
    assert sum(isinstance(each, CommandResponse) for each in outcomes) == 1
    assert isinstance(one.take(message(), 101.5), Command)


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b"null",
        b"ON",
        b'{"secnds": 5}',
        b'{"seconds": -1}',
        b'{"seconds": "5"}',
        b"\xff",
        b"[" * 3000,
    ],
)
def test_rubbish_is_answered_in_words(payload: bytes) -> None:
    assert "no command" in refusal(desk(), message(payload=payload))


@pytest.mark.parametrize(
    ("payload", "answered"),
    [
        (b'{"id": "7", "seconds": "many"}', "7"),
        (b'{"secnds": 5, "id": "7"}', "7"),
        (b'{"id": 7, "seconds": -1}', ""),
        (b'{"id": "' + b"7" * 65 + b'", "seconds": -1}', ""),
        (b'{"id": "7"', ""),
    ],
)
def test_who_gave_a_wrong_command_is_answered_with_its_id_if_it_has_one(
    payload: bytes, answered: str
) -> None:
    answer = desk().take(message(payload=payload), 100.0)
    assert isinstance(answer, CommandResponse)
    assert not answer.result.ok
    assert answer.result.id == answered


def test_a_huge_message_is_not_read() -> None:
    assert "4096 at most" in refusal(desk(), message(payload=b" " * 5000))


@given(st.text(max_size=80), st.binary(max_size=200), st.booleans())
def test_no_message_makes_the_desk_fall_over(topic: str, payload: bytes, retained: bool) -> None:
    one = desk()
    for start in ("", f"{TOPICS.root}/command/", f"{TOPICS.root}/camera/"):
        one.take(Received(start + topic, payload, retained), 1.0)
    one.take(message(payload=payload), 1.0)


def test_commands_beyond_those_that_may_wait_are_refused() -> None:
    one = desk()
    waiting = [taken(one, message(), 100.0 * turn) for turn in range(1, 101)]
    assert refusal(one, message(), 20_000.0) == "too many commands wait for an answer"
    one.done(CommandResult(id=waiting[0].id, ok=True))
    assert taken(one, message(), 30_000.0)


def test_a_result_of_another_origin_is_not_ours() -> None:
    assert desk().done(CommandResult(id="cli-1", ok=True)) is None


def test_a_command_goes_from_the_broker_to_the_recorder_and_its_result_back(
    broker: Mosquitto, listener: Listener, recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    sink = make_sink(broker.port, commands=True)
    recorder.start(sink)
    topic = "maskwatch/gate%201/camera/door/command/snapshot"
    listener.publish(topic, b'{"id": "7"}', correlation=b"c7")
    command = recorder.wait_command()
    assert (command.verb, command.target) == ("snapshot", "door")
    sink.command_done(CommandResult(id=command.id, ok=False, detail="the camera is offline"))
    result = listener.wait_for("maskwatch/gate%201/result")
    assert result.correlation == b"c7"
    answer = json.loads(result.payload)
    assert (answer["id"], answer["ok"], answer["detail"]) == ("7", False, "the camera is offline")


def test_commands_are_taken_again_after_the_broker_was_restarted(
    broker: Mosquitto, recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    from tests.fakes.recorder_side import eventually

    sink = make_sink(broker.port, commands=True)
    recorder.start(sink)
    broker.kill()
    eventually(lambda: not sink.ready)
    broker.start()
    eventually(lambda: sink.ready)
    sender = Listener(broker.port)
    sender.publish("maskwatch/gate%201/command/reload")
    assert recorder.wait_command().verb == "reload"
    sender.close()


def test_without_leave_no_command_is_taken(
    broker: Mosquitto, listener: Listener, recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    sink = make_sink(broker.port)
    recorder.start(sink)
    listener.publish("maskwatch/gate%201/command/reload")
    sink.stop(5)
    assert recorder.commands == []
