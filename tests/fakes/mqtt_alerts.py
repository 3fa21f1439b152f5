"""What an independent subscriber has heard of violations and of trouble, and what it should hear."""

from __future__ import annotations

import json
from dataclasses import dataclass

from maskwatch.alerts.mqtt.topics import Topic, Topics
from tests.fakes.mosquitto import Listener
from tests.fakes.samples import change

__all__ = ["TOPICS", "Told", "alert", "alerts_of", "incidents_of", "violation_topic"]

TOPICS = Topics("maskwatch", "test")

Alert = tuple[str, int]
"""The violation's id and the change's number."""


def violation_topic(camera: str = "door") -> str:
    """The topic of a camera's alerts."""
    return TOPICS.of(Topic.VIOLATION, camera=camera)


def alerts_of(listener: Listener, camera: str = "door") -> list[Alert]:
    """The alerts of a camera, in the order in which they came."""
    wanted = violation_topic(camera)
    bodies = [json.loads(heard.payload) for heard in list(listener.heard) if heard.topic == wanted]
    return [(body["id"], body["number"]) for body in bodies]


def alert(index: int, number: int = 1) -> Alert:
    """The alert of the sample violation of this index."""
    return str(change(index).violation.id), number


@dataclass(frozen=True)
class Told:
    """One change of an incident, as it was published."""

    id: str
    number: int
    kind: str
    change: str
    reason: str


def incidents_of(listener: Listener, camera: str = "") -> list[Told]:
    """What was told of trouble with a camera, or with the node, also if it was told twice."""
    topic = Topic.INCIDENT if camera else Topic.NODE_INCIDENT
    wanted = TOPICS.of(topic, camera=camera)
    bodies = [json.loads(heard.payload) for heard in list(listener.heard) if heard.topic == wanted]
    return [Told(**{name: body[name] for name in Told.__annotations__}) for body in bodies]
