"""Alerts and incidents as an independent subscriber receives them, and as a test expects them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from maskwatch.alerts.mqtt.topics import Topic, Topics
from tests.fakes.mosquitto import Listener
from tests.fakes.samples import change

TOPICS = Topics("maskwatch", "test")

Alert = tuple[str, int]
"""The violation's id and the change's number."""


def violation_topic(camera: str = "door") -> str:
    """Return the topic of a camera's alerts."""
    return TOPICS.of(Topic.VIOLATION, camera=camera)


def alerts_of(listener: Listener, camera: str = "door") -> list[Alert]:
    """Return the alerts of a camera, in the order of their arrival."""
    return [(body["id"], body["number"]) for body in _bodies(listener, violation_topic(camera))]


def alert(index: int, number: int = 1) -> Alert:
    """Return the alert of the sample violation of this index."""
    return str(change(index).violation.id), number


@dataclass(frozen=True)
class PublishedIncident:
    """One change of an incident, as it was published."""

    id: str
    number: int
    kind: str
    change: str
    reason: str


def incidents_of(listener: Listener, camera: str = "") -> list[PublishedIncident]:
    """Return the published incidents of a camera, or of the node, with repetitions."""
    topic = Topic.INCIDENT if camera else Topic.NODE_INCIDENT
    names = PublishedIncident.__annotations__
    bodies = _bodies(listener, TOPICS.of(topic, camera=camera))
    return [PublishedIncident(**{name: body[name] for name in names}) for body in bodies]


def _bodies(listener: Listener, topic: str) -> list[dict[str, Any]]:
    return [json.loads(each.payload) for each in list(listener.messages) if each.topic == topic]
