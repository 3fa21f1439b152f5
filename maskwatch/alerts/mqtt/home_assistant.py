"""Home Assistant's MQTT discovery: a device per camera, one for the node, and their entities.

One retained message per entity, in the form that releases since 2023.8 accept. The entities read the
topics of `maskwatch.alerts.mqtt.topics`; no topic exists for them alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from maskwatch.alerts.mqtt.topics import CONTENT_JSON, Message, Topic, Topics
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import CameraState, ChangeKind

_BIRTH = b"online"
# People are counted once a minute; three minutes without a count make the value unknown.
_COUNT_EXPIRES = 180

_Value = str | int | list[str]
_Fields = dict[str, _Value]


@dataclass(frozen=True, slots=True)
class _Entity:
    """One entity: its platform, a stable key, and its own fields."""

    platform: str
    key: str
    fields: _Fields


class HomeAssistant:
    """Discovery messages of one configuration."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._prefix = config.mqtt.home_assistant_prefix.strip("/")
        self._topics = Topics(config.mqtt.topic_prefix, config.node)
        self._node = f"maskwatch_{_slug(config.node)}"

    @property
    def birth_topic(self) -> str:
        return f"{self._prefix}/status"

    @property
    def filter(self) -> str:
        """Subscription filter that matches every discovery topic of this node."""
        return f"{self._prefix}/+/{self._node}/+/config"

    def is_birth(self, topic: str, payload: bytes) -> bool:
        """Return whether a message is the birth message, sent when Home Assistant starts."""
        return topic == self.birth_topic and payload == _BIRTH

    def owns(self, topic: str) -> bool:
        """Return whether a topic is a discovery topic of this node."""
        levels = topic.removeprefix(f"{self._prefix}/").split("/")
        return topic.startswith(f"{self._prefix}/") and levels[1:2] == [self._node]

    @property
    def topics(self) -> frozenset[str]:
        """Every discovery topic of this configuration."""
        return frozenset(message.topic for message in self.messages())

    def messages(self) -> list[Message]:
        messages = [self._message(entity, "", self._node_device()) for entity in self._node_entities()]
        for camera in self._config.cameras:
            device = self._camera_device(camera)
            entities = self._camera_entities(camera)
            messages.extend(self._message(entity, camera.name, device) for entity in entities)
        return messages

    # --- devices ------------------------------------------------------------------------------------

    def _node_device(self) -> _Fields:
        return {
            "identifiers": [self._node],
            "name": f"maskwatch {self._config.node}",
            "manufacturer": "maskwatch",
            "model": "node",
            "sw_version": version("maskwatch"),
        }

    def _camera_device(self, camera: CameraConfig) -> _Fields:
        return {
            "identifiers": [f"{self._node}_{_slug(camera.name)}"],
            "name": camera.name,
            "manufacturer": "maskwatch",
            "model": "camera",
            "via_device": self._node,
        }

    # --- entities -----------------------------------------------------------------------------------

    def _node_entities(self) -> Iterator[_Entity]:
        incidents = self._topics.of(Topic.NODE_OPEN_INCIDENTS)
        yield _Entity(
            "binary_sensor",
            "problem",
            {
                "name": "Problem",
                "device_class": "problem",
                "state_topic": incidents,
                "value_template": "{{ 'ON' if value_json.count > 0 else 'OFF' }}",
                "json_attributes_topic": incidents,
                "entity_category": "diagnostic",
            },
        )
        if self._config.mqtt.commands:
            reload = self._topics.of(Topic.NODE_COMMAND, verb="reload")
            yield _Entity("button", "reload", _button("Reload configuration", reload, "mdi:reload"))

    def _camera_entities(self, camera: CameraConfig) -> Iterator[_Entity]:
        yield from self._state_entities(camera.name)
        yield from self._people_entities(camera.name)
        if self._config.mqtt.send_pictures:
            picture = self._topics.of(Topic.PICTURE, camera=camera.name)
            yield _Entity("image", "picture", _image("Last alert", picture))
        if self._config.mqtt.commands:
            yield from self._command_entities(camera.name)

    def _state_entities(self, camera: str) -> Iterator[_Entity]:
        state = self._topics.of(Topic.CAMERA_STATE, camera=camera)
        common: _Fields = {"state_topic": state, "entity_category": "diagnostic"}
        healthy = [CameraState.LIVE.value, CameraState.DISABLED.value]
        problem: _Fields = {
            "name": "Problem",
            "device_class": "problem",
            "value_template": f"{{{{ 'OFF' if value_json.state in {healthy} else 'ON' }}}}",
            "json_attributes_topic": state,
        }
        yield _Entity("binary_sensor", "problem", common | problem)
        shown: _Fields = {
            "name": "State",
            "device_class": "enum",
            "options": [each.value for each in CameraState],
            "value_template": "{{ value_json.state }}",
        }
        yield _Entity("sensor", "state", common | shown)
        snoozes = self._topics.of(Topic.SNOOZE, camera=camera)
        snoozed: _Fields = {
            "name": "Snoozed",
            "icon": "mdi:bell-sleep",
            "state_topic": snoozes,
            "value_template": "{{ 'ON' if value_json.until else 'OFF' }}",
            "json_attributes_topic": snoozes,
        }
        yield _Entity("binary_sensor", "snoozed", snoozed)

    def _people_entities(self, camera: str) -> Iterator[_Entity]:
        now_open = self._topics.of(Topic.OPEN_VIOLATIONS, camera=camera)
        unmasked: _Fields = {
            "name": "Person without mask",
            "device_class": "safety",
            "state_topic": now_open,
            "value_template": "{{ 'ON' if value_json.count > value_json.silent else 'OFF' }}",
            "json_attributes_topic": now_open,
        }
        yield _Entity("binary_sensor", "unmasked", unmasked)
        violation: _Fields = {
            "name": "Violation",
            "icon": "mdi:face-mask",
            "state_topic": self._topics.of(Topic.VIOLATION, camera=camera),
            "event_types": [each.value for each in ChangeKind],
            "value_template": "{{ dict(value_json, event_type=value_json.change) | to_json }}",
        }
        yield _Entity("event", "violation", violation)
        counted: _Fields = {
            "state_topic": self._topics.of(Topic.OCCUPANCY, camera=camera),
            "state_class": "measurement",
            "expire_after": _COUNT_EXPIRES,
        }
        people: _Fields = {
            "name": "Occupancy",
            "icon": "mdi:account-group",
            "unit_of_measurement": "people",
            "value_template": "{{ value_json.peak }}",
        }
        yield _Entity("sensor", "occupancy", counted | people)
        share = "none if value_json.compliance is none else (value_json.compliance * 100) | round(1)"
        compliance: _Fields = {
            "name": "Compliance",
            "icon": "mdi:percent",
            "unit_of_measurement": "%",
            "value_template": f"{{{{ {share} }}}}",
        }
        yield _Entity("sensor", "compliance", counted | compliance)

    def _command_entities(self, camera: str) -> Iterator[_Entity]:
        def topic(verb: str) -> str:
            return self._topics.of(Topic.CAMERA_COMMAND, camera=camera, verb=verb)

        enabled: _Fields = {
            "name": "Enabled",
            "icon": "mdi:cctv",
            "command_topic": topic("enable"),
            "payload_on": '{"on": true}',
            "payload_off": '{"on": false}',
            "state_topic": self._topics.of(Topic.CAMERA_STATE, camera=camera),
            "value_template": "{{ 'OFF' if value_json.state == 'disabled' else 'ON' }}",
            "state_on": "ON",
            "state_off": "OFF",
        }
        yield _Entity("switch", "enabled", enabled)
        snoozed = self._topics.of(Topic.SNOOZE, camera=camera)
        snooze: _Fields = {
            "name": "Snooze",
            "icon": "mdi:bell-sleep",
            "command_topic": topic("snooze"),
            "command_template": '{"seconds": {{ (value | float) * 60 }}}',
            "state_topic": snoozed,
            "value_template": "{{ (value_json.seconds / 60) | round(0, 'ceil') }}",
            "min": 0,
            "max": 1440,
            "step": 1,
            "mode": "box",
            "unit_of_measurement": "min",
        }
        yield _Entity("number", "snooze", snooze)
        yield _Entity("button", "snapshot", _button("Take snapshot", topic("snapshot"), "mdi:camera"))
        taken = self._topics.of(Topic.SNAPSHOT, camera=camera)
        yield _Entity("image", "snapshot_picture", _image("Last snapshot", taken))

    def _message(self, entity: _Entity, camera: str, device: _Fields) -> Message:
        key = f"{_slug(camera)}_{entity.key}" if camera else entity.key
        config = {
            "unique_id": f"{self._node}_{key}",
            "qos": 1,
            "availability_topic": self._topics.of(Topic.STATUS),
            "device": device,
            "origin": {"name": "maskwatch", "sw_version": version("maskwatch")},
            **entity.fields,
        }
        topic = f"{self._prefix}/{entity.platform}/{self._node}/{key}/config"
        return Message(topic, json.dumps(config).encode(), retain=True, content=CONTENT_JSON)


def _image(name: str, topic: str) -> _Fields:
    return {"name": name, "image_topic": topic, "content_type": "image/jpeg"}


def _button(name: str, topic: str, icon: str) -> _Fields:
    return {"name": name, "icon": icon, "command_topic": topic, "payload_press": "{}"}


def _slug(name: str) -> str:
    """Return a readable key of a name, of the characters discovery allows, unique for the name."""
    readable = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:24]
    return f"{readable}_{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
