"""Home Assistant discovery: its entities, when it is published, and what it clears."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from maskwatch.alerts.mqtt.home_assistant import HomeAssistant
from maskwatch.alerts.mqtt.topics import Topic, Topics
from maskwatch.config.schema import CameraConfig, Config, MqttConfig, MqttVersion
from maskwatch.domain import CameraState
from maskwatch.secrets import SecretUrl
from tests.alerts.conftest import MakeSink, StartSink
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.recorder_side import FakeRecorder, status
from tests.fakes.waiting import wait_until

EVERYTHING = MqttConfig(home_assistant=True, send_pictures=True, commands=True)


def camera(name: str) -> CameraConfig:
    return CameraConfig(name=name, url=SecretUrl("rtsp://x/1"))


def discovered(mqtt: MqttConfig = EVERYTHING, *cameras: str) -> dict[str, dict[str, object]]:
    """Return topic -> configuration."""
    names = cameras or ("front door",)
    home = HomeAssistant(Config(node="gate 1", cameras=tuple(map(camera, names)), mqtt=mqtt))
    return {message.topic: json.loads(message.payload) for message in home.messages()}


def test_a_camera_has_these_entities() -> None:
    names = {
        (topic.split("/")[1], config["name"])
        for topic, config in discovered().items()
        if config["device"]["name"] == "front door"
    }
    assert names == {
        ("binary_sensor", "Problem"),
        ("sensor", "State"),
        ("binary_sensor", "Person without mask"),
        ("event", "Violation"),
        ("sensor", "Occupancy"),
        ("sensor", "Compliance"),
        ("binary_sensor", "Snoozed"),
        ("image", "Last alert"),
        ("image", "Last snapshot"),
        ("switch", "Enabled"),
        ("number", "Snooze"),
        ("button", "Take snapshot"),
    }


def test_commands_and_images_have_entities_only_if_enabled() -> None:
    platforms = {topic.split("/")[1] for topic in discovered(MqttConfig(home_assistant=True))}
    assert platforms == {"binary_sensor", "sensor", "event"}


@pytest.mark.parametrize("name", ["front door", "Tür/+#", "日本", "a" * 64])
def test_topics_use_only_characters_that_discovery_allows(name: str) -> None:
    for topic in discovered(EVERYTHING, name):
        assert re.fullmatch(r"homeassistant/[a-z_]+/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)


def test_cameras_with_similar_names_have_different_entities() -> None:
    found = discovered(EVERYTHING, "door 1", "door-1", "Door 1")
    ids = [config["unique_id"] for config in found.values()]
    assert len(ids) == len(set(ids)) == 3 * 12 + 2


def test_every_entity_uses_topics_of_the_documented_table() -> None:
    topics = Topics("maskwatch", "gate 1")
    used = {
        str(value)
        for config in discovered().values()
        for key, value in config.items()
        if key.endswith("_topic")
    }
    for text in used:
        assert any(topics.parse(topic, text) is not None for topic in Topic), text


def test_the_payloads_of_command_entities_are_json_objects() -> None:
    by_name = {config["name"]: config for config in discovered().values()}
    switch, button = by_name["Enabled"], by_name["Take snapshot"]
    for payload in (switch["payload_on"], switch["payload_off"], button["payload_press"]):
        assert isinstance(json.loads(str(payload)), dict)


def test_every_entity_has_a_device_an_origin_and_the_nodes_availability() -> None:
    for config in discovered().values():
        assert config["availability_topic"] == "maskwatch/gate%201/status"
        assert config["origin"] == {"name": "maskwatch", "sw_version": config["origin"]["sw_version"]}
        assert config["device"]["identifiers"]


def discovery_of(listener: Listener) -> list[str]:
    return [topic for topic in listener.topics() if topic.startswith("homeassistant/")]


def test_discovery_is_retained_and_published_again_at_birth(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink, version: MqttVersion
) -> None:
    start_sink(version=version, home_assistant=True)
    listener.wait_for("maskwatch/gate%201/status", b"online")
    first = discovery_of(listener)
    assert len(first) == 8
    assert all(received.retain for received in listener.messages if received.topic in first)
    recorder.cameras = [status(state=CameraState.BLIND)]
    listener.publish("homeassistant/status", b"online")
    wait_until(lambda: len(discovery_of(listener)) == 2 * len(first) + 1)
    wait_until(lambda: any(b"blind" in received.payload for received in listener.messages))


def test_the_will_of_home_assistant_is_not_a_birth(listener: Listener, start_sink: StartSink) -> None:
    sink = start_sink(home_assistant=True)
    listener.wait_for("maskwatch/gate%201/status", b"online")
    listener.publish("homeassistant/status", b"offline")
    sink.stop(5)
    assert len(discovery_of(listener)) == 9


def test_retained_topics_of_a_removed_camera_are_cleared(
    broker: Mosquitto, recorder: FakeRecorder, make_sink: MakeSink, version: MqttVersion
) -> None:
    recorder.cameras = [status("shed")]
    gone = make_sink(broker.port, cameras=("shed",), version=version, home_assistant=True)
    recorder.start(gone)
    gone.stop(5)
    recorder.cameras = [status("door")]
    sink = make_sink(broker.port, version=version, home_assistant=True)
    recorder.start(sink)
    wait_until(lambda: not [topic for topic in broker.retained() if "shed" in topic])
    assert any("/door/" in topic for topic in broker.retained())


def test_retained_topics_of_another_node_are_kept(
    broker: Mosquitto, recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    other = make_sink(broker.port, node="gate 2", home_assistant=True)
    recorder.start(other)
    sink = make_sink(broker.port, home_assistant=True)
    recorder.start(sink)
    wait_until(lambda: "maskwatch/gate%201/status" in broker.retained())
    left = [topic for topic in broker.retained() if "gate%202" in topic or "gate_2" in topic]
    assert len(left) == 7 + 8


def test_a_configured_prefix_is_used() -> None:
    own = msgspec.structs.replace(EVERYTHING, home_assistant_prefix="ha/discovery/")
    assert all(topic.startswith("ha/discovery/") for topic in discovered(own))
