"""deploy/mosquitto with a real Mosquitto: each account has the rights it needs, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.alerts.mqtt.sink import MqttSink
from maskwatch.alerts.sink import DeliveryStatus
from maskwatch.config.schema import CameraConfig, Config, MqttConfig
from maskwatch.secrets import Secret, SecretUrl
from tests.deploy.queries import DEPLOY
from tests.fakes.mosquitto import Listener, Mosquitto, password_lines
from tests.fakes.recorder_side import FakeRecorder
from tests.fakes.samples import change
from tests.fakes.waiting import wait_until

PASSWORD = "throw-away"
STATE = "maskwatch/gate/camera/door/state"
COMMAND = "maskwatch/gate/camera/door/command/disable"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Run Mosquitto with the shipped files; only paths and the port differ."""
    (tmp_path / "acl").write_text(_rights())
    password_lines(tmp_path, ("gate", "yard", "viewer", "operator", "homeassistant"), PASSWORD)
    shipped = (DEPLOY / "mosquitto/mosquitto.conf").read_text("utf-8")
    text = shipped.replace("/mosquitto/config", str(tmp_path)).replace("/mosquitto/data", str(tmp_path))
    lines = [
        line for line in text.splitlines() if not line.startswith(("listener", "log_", "max_queued"))
    ]
    with Mosquitto(tmp_path, lines) as broker:
        yield broker


def _rights() -> str:
    return (DEPLOY / "mosquitto/acl").read_text("utf-8")


def listen(broker: Mosquitto, user: str) -> Listener:
    return Listener(broker.port, username=user, password=PASSWORD)


def is_delivered(broker: Mosquitto, sender: str, receiver: str, topic: str) -> bool:
    """Return whether a publication of one account reaches another before a later allowed one."""
    subscriber, publisher = listen(broker, receiver), listen(broker, sender)
    node = listen(broker, "gate")
    publisher.publish(topic, b"x")
    node.publish("maskwatch/gate/end", b"end")
    subscriber.wait_for("maskwatch/gate/end", b"end")
    for each in (subscriber, publisher, node):
        each.close()
    return topic in subscriber.topics()


def test_a_node_publishes_alerts_with_the_rights_it_is_given(broker: Mosquitto) -> None:
    mqtt = MqttConfig(
        port=broker.port,
        username="gate",
        password=Secret(PASSWORD),
        home_assistant=True,
        commands=True,
    )
    camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
    config = Config(node="gate", cameras=(camera,), mqtt=mqtt, data_dir=str(broker.directory))
    sink, recorder = MqttSink(config), FakeRecorder()
    viewer, home = listen(broker, "viewer"), listen(broker, "homeassistant")
    recorder.start(sink)
    assert recorder.status(recorder.send(sink, change(1))) is DeliveryStatus.ACCEPTED
    viewer.wait_for("maskwatch/gate/camera/door/violation")
    home.wait(lambda messages: any(each.topic.startswith("homeassistant/") for each in messages))
    operator = listen(broker, "operator")
    operator.publish(COMMAND)
    assert recorder.wait_command().verb == "disable"
    sink.stop(5)
    for each in (viewer, home, operator):
        each.close()


@pytest.mark.parametrize(
    ("sender", "receiver", "topic", "passes"),
    [
        ("gate", "viewer", STATE, True),
        ("yard", "viewer", STATE, False),
        ("viewer", "gate", STATE, False),
        ("operator", "gate", STATE, False),
        ("operator", "gate", COMMAND, True),
        ("viewer", "gate", COMMAND, False),
        ("homeassistant", "gate", COMMAND, False),
        ("homeassistant", "gate", "maskwatch/gate/camera/door/command/snooze", True),
        ("operator", "gate", "maskwatch/gate/command/reload", True),
        ("homeassistant", "gate", "maskwatch/gate/command/reload", False),
    ],
)
def test_an_account_has_the_rights_it_needs_and_no_others(
    broker: Mosquitto, sender: str, receiver: str, topic: str, passes: bool
) -> None:
    assert is_delivered(broker, sender, receiver, topic) is passes


def _sink(broker: Mosquitto, node: str) -> MqttSink:
    mqtt = MqttConfig(port=broker.port, username=node, password=Secret(PASSWORD), home_assistant=True)
    camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
    data = broker.directory / "data"
    data.mkdir(exist_ok=True)
    return MqttSink(Config(node=node, cameras=(camera,), mqtt=mqtt, data_dir=str(data)))


def _retained(broker: Mosquitto) -> set[str]:
    """Return the retained topics of the node `gate`."""
    with listen(broker, "viewer") as viewer, listen(broker, "yard") as node:
        node.publish("maskwatch/yard/end", b"end")
        viewer.wait_for("maskwatch/yard/end", b"end")
        return {each.topic for each in viewer.messages if each.topic.startswith("maskwatch/gate/")}


def test_a_renamed_node_clears_its_old_topics_with_the_lines_for_it(broker: Mosquitto) -> None:
    recorder = FakeRecorder()
    old = _sink(broker, "gate")
    recorder.start(old)
    old.stop(5)
    assert _retained(broker)
    (broker.directory / "acl").write_text(
        _rights()
        .replace("#user NEW", "user yard")
        .replace("#topic readwrite maskwatch/OLD/", "topic readwrite maskwatch/gate/")
    )
    broker.reload()
    new = _sink(broker, "yard")
    recorder.start(new)
    wait_until(lambda: not _retained(broker), 30, "the topics of the old name are cleared")
    new.stop(5)
