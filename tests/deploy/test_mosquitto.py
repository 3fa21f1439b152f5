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

PASSWORD = "throw-away"
STATE = "maskwatch/gate/camera/door/state"
COMMAND = "maskwatch/gate/camera/door/command/disable"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Run Mosquitto with the shipped files; only paths and the port differ."""
    (tmp_path / "acl").write_text((DEPLOY / "mosquitto/acl").read_text("utf-8"))
    password_lines(tmp_path, ("gate", "yard", "viewer", "operator", "homeassistant"), PASSWORD)
    shipped = (DEPLOY / "mosquitto/mosquitto.conf").read_text("utf-8")
    text = shipped.replace("/mosquitto/config", str(tmp_path)).replace("/mosquitto/data", str(tmp_path))
    lines = [
        line for line in text.splitlines() if not line.startswith(("listener", "log_", "max_queued"))
    ]
    with Mosquitto(tmp_path, lines) as broker:
        yield broker


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
