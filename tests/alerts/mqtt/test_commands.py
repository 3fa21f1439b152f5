"""Commands: run once, limited in rate, answered, and harmless whatever their bytes are."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.alerts.mqtt.commands import MqttCommandHandler
from maskwatch.alerts.mqtt.connection import Received
from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.owner import Ownership
from maskwatch.alerts.mqtt.payloads import CommandResultPayload
from maskwatch.alerts.mqtt.published import PublishedTopics
from maskwatch.alerts.mqtt.state import StatePublisher
from maskwatch.alerts.mqtt.topics import Message, Topic, Topics
from maskwatch.alerts.sink import StateSnapshot
from maskwatch.config.schema import Config, MqttConfig
from maskwatch.ipc.messages import Command, CommandResult
from tests.alerts.conftest import StartSink
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.recorder_side import FakeRecorder
from tests.fakes.waiting import wait_until

TOPICS = Topics("maskwatch", "gate 1")


def make_handler() -> MqttCommandHandler:
    return MqttCommandHandler(MessageBuilder(TOPICS, "gate 1"))


def result_of(answer: object) -> CommandResultPayload:
    assert isinstance(answer, Message), answer
    return msgspec.json.decode(answer.payload, type=CommandResultPayload)


def message(verb: str = "snooze", payload: bytes = b"", *, retained: bool = False) -> Received:
    topic = Topic.NODE_COMMAND if verb in {"acknowledge", "reload"} else Topic.CAMERA_COMMAND
    return Received(TOPICS.of(topic, camera="door", verb=verb), payload, retained, b"corr")


def accepted(handler: MqttCommandHandler, received: Received, now: float = 100.0) -> Command:
    command = handler.receive(received, now)
    assert isinstance(command, Command), command
    return command


def refusal(handler: MqttCommandHandler, received: Received, now: float = 100.0) -> str:
    result = result_of(handler.receive(received, now))
    assert not result.ok
    return result.detail


def test_a_camera_command_is_answered_with_the_id_of_its_sender() -> None:
    handler = make_handler()
    command = accepted(handler, message(payload=b'{"id": "abc", "seconds": 600}'))
    assert (command.verb, command.target, command.seconds, command.origin) == (
        "snooze",
        "door",
        600,
        "mqtt",
    )
    answer = handler.complete(CommandResult(id=command.id, ok=True, detail="until 12:10"))
    assert answer is not None
    result = result_of(answer)
    assert (result.id, result.ok, result.detail) == ("abc", True, "until 12:10")
    assert (result.verb, result.target, answer.correlation) == ("snooze", "door", b"corr")


def test_an_empty_message_means_all_defaults() -> None:
    assert accepted(make_handler(), message("enable")).seconds == 0


def test_enable_turns_into_disable_for_a_switch_with_one_topic() -> None:
    assert accepted(make_handler(), message("enable", b'{"on": false}')).verb == "disable"
    assert accepted(make_handler(), message("enable", b'{"on": true}')).verb == "enable"


def test_acknowledge_requires_a_violation() -> None:
    assert accepted(make_handler(), message("acknowledge", b'{"target": "x"}')).target == "x"
    assert "id of a violation" in refusal(make_handler(), message("acknowledge"))


def test_a_repeated_command_is_not_run_again_but_answered_again() -> None:
    handler = make_handler()
    again = message(payload=b'{"id": "abc"}')
    command = accepted(handler, again)
    assert handler.receive(again, 100.0) is None
    handler.complete(CommandResult(id=command.id, ok=True))
    assert result_of(handler.receive(again, 100.0)).ok


def test_a_retained_command_is_ignored() -> None:
    assert make_handler().receive(message(retained=True), 0) is None


@pytest.mark.parametrize("verb", ["format", "", "reload"])
def test_an_unknown_verb_is_answered_with_the_known_ones(verb: str) -> None:
    topic = f"{TOPICS.root}/camera/door/command/{verb}"
    assert "expected disable, enable, snapshot, snooze" in refusal(
        make_handler(), Received(topic, b"", retained=False)
    )
    assert (
        result_of(make_handler().receive(Received(topic, b'{"id": "7"}', retained=False), 0)).id == "7"
    )


def test_other_topics_are_not_handled() -> None:
    assert not make_handler().handles(Received(f"{TOPICS.root}/camera/door/state", b"", retained=False))


def test_a_flood_is_refused_and_the_refusals_are_limited_too() -> None:
    handler = make_handler()
    outcomes = [handler.receive(message(), 100.0) for _ in range(1000)]
    assert sum(isinstance(each, Command) for each in outcomes) == 10
    assert sum(isinstance(each, Message) for each in outcomes) == 1
    assert isinstance(handler.receive(message(), 101.5), Command)


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
def test_an_invalid_payload_is_answered_with_the_reason(payload: bytes) -> None:
    assert "no command" in refusal(make_handler(), message(payload=payload))


@pytest.mark.parametrize(
    ("payload", "expected_id"),
    [
        (b'{"id": "7", "seconds": "many"}', "7"),
        (b'{"secnds": 5, "id": "7"}', "7"),
        (b'{"id": 7, "seconds": -1}', ""),
        (b'{"id": "' + b"7" * 65 + b'", "seconds": -1}', ""),
        (b'{"id": "7"', ""),
    ],
)
def test_an_invalid_command_is_answered_with_its_id_if_it_has_one(
    payload: bytes, expected_id: str
) -> None:
    result = result_of(make_handler().receive(message(payload=payload), 100.0))
    assert not result.ok
    assert result.id == expected_id


def test_an_oversized_message_is_not_parsed() -> None:
    assert "4096 at most" in refusal(make_handler(), message(payload=b" " * 5000))


@given(st.text(max_size=80), st.binary(max_size=200), st.booleans())
def test_no_message_raises(topic: str, payload: bytes, retained: bool) -> None:
    handler = make_handler()
    for start in ("", f"{TOPICS.root}/command/", f"{TOPICS.root}/camera/"):
        handler.receive(Received(start + topic, payload, retained), 1.0)
    handler.receive(message(payload=payload), 1.0)


def test_more_commands_than_may_be_pending_are_refused() -> None:
    handler = make_handler()
    pending = [accepted(handler, message(), 100.0 * turn) for turn in range(1, 101)]
    assert refusal(handler, message(), 20_000.0) == "too many commands wait for an answer"
    handler.complete(CommandResult(id=pending[0].id, ok=True))
    assert accepted(handler, message(), 30_000.0)


def test_the_result_of_a_command_of_another_origin_is_ignored() -> None:
    assert make_handler().complete(CommandResult(id="cli-1", ok=True)) is None


def test_a_command_reaches_the_recorder_and_its_result_the_broker(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink
) -> None:
    sink = start_sink(commands=True)
    topic = "maskwatch/gate%201/camera/door/command/snapshot"
    listener.publish(topic, b'{"id": "7"}', correlation=b"c7")
    command = recorder.wait_command()
    assert (command.verb, command.target) == ("snapshot", "door")
    sink.publish(CommandResult(id=command.id, ok=False, detail="the camera is offline"))
    result = listener.wait_for("maskwatch/gate%201/result")
    assert result.correlation == b"c7"
    answer = json.loads(result.payload)
    assert (answer["id"], answer["ok"], answer["detail"]) == ("7", False, "the camera is offline")


def test_commands_are_received_after_the_broker_was_restarted(
    broker: Mosquitto, recorder: FakeRecorder, start_sink: StartSink
) -> None:
    sink = start_sink(commands=True)
    broker.kill()
    wait_until(lambda: not sink.ready)
    broker.start()
    wait_until(lambda: sink.ready)
    sender = Listener(broker.port)
    sender.publish("maskwatch/gate%201/command/reload")
    assert recorder.wait_command().verb == "reload"
    sender.close()


class FakeSession:
    """Records the answers that it is to publish."""

    def __init__(self) -> None:
        self.answers: list[Message] = []

    def answer(self, message: Message) -> None:
        self.answers.append(message)


def test_a_result_that_arrives_between_sessions_is_published_by_the_next(tmp_path: Path) -> None:
    commands, lost, next_session = list[Command](), FakeSession(), FakeSession()
    builder = MessageBuilder(TOPICS, "gate 1")
    published = PublishedTopics(tmp_path / "topics", "broker:1883", TOPICS.root, "1")
    publisher = StatePublisher(
        Config(node="gate 1", cameras=(), mqtt=MqttConfig(commands=True)),
        builder,
        published,
        Ownership(builder, published, "client", 1.0),
        lambda: StateSnapshot((), (), (), {}),
        commands.append,
    )
    publisher.handle(lost, message(payload=b'{"id": "7"}'))  # type: ignore[arg-type]  # a fake
    publisher.answer(CommandResult(id=commands[0].id, ok=True, detail="done"))
    for _ in range(2):
        publisher.run_due(next_session)  # type: ignore[arg-type]  # a fake
    assert lost.answers == []
    (answer,) = next_session.answers
    assert (result_of(answer).id, result_of(answer).detail) == ("7", "done")


def test_no_command_is_received_unless_enabled(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink
) -> None:
    sink = start_sink()
    listener.publish("maskwatch/gate%201/command/reload")
    sink.stop(5)
    assert recorder.commands == []
