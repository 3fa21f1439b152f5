"""What an independent subscriber has heard of a camera's violations, and what it should hear."""

from __future__ import annotations

import json

from maskwatch.alerts.topics import Topic, Topics
from tests.alerts.broker import Listener
from tests.store.samples import change

__all__ = ["alert", "alerts_of", "violation_topic"]

Alert = tuple[str, int]
"""The violation's id and the change's number."""


def violation_topic(camera: str = "door") -> str:
    """The topic of a camera's alerts."""
    return Topics("maskwatch", "test").of(Topic.VIOLATION, camera=camera)


def alerts_of(listener: Listener, camera: str = "door") -> list[Alert]:
    """The alerts of a camera, in the order in which they came."""
    wanted = violation_topic(camera)
    bodies = [json.loads(heard.payload) for heard in list(listener.heard) if heard.topic == wanted]
    return [(body["id"], body["number"]) for body in bodies]


def alert(index: int, number: int = 1) -> Alert:
    """The alert of the sample violation of this index."""
    return str(change(index).violation.id), number
