"""Proves that publishing works: the canary, published on each connection and received back.

A 3.1.1 broker acknowledges also what its ACL drops, so an acknowledgement alone proves nothing.
"""

from __future__ import annotations

import time
from collections import deque

from maskwatch.alerts.mqtt.connection import Acknowledged, Event, MqttConnection, Received, Subscribed
from maskwatch.alerts.mqtt.topics import Message
from maskwatch.errors import SinkError


def verify_publishing(connection: MqttConnection, probe: Message, timeout: float) -> None:
    """Publish `probe`, and wait until it is acknowledged and received back.

    Raises:
        SinkError: a step was refused, or did not happen within `timeout` seconds.
    """
    canary = _Canary(connection, probe, time.monotonic() + timeout)
    canary.subscribe()
    canary.publish()


class _Canary:
    def __init__(self, connection: MqttConnection, probe: Message, deadline: float) -> None:
        self._connection = connection
        self._probe = probe
        self._deadline = deadline
        self._events: deque[Event] = deque()

    def subscribe(self) -> None:
        topic = self._probe.topic
        mid = self._connection.subscribe([topic])
        while not isinstance(event := self._next_event(), Subscribed) or event.mid != mid:
            if event is None:
                raise SinkError(f"broker {self._connection.address}: no answer to a subscription")
        if event.refusal:
            raise self._denied(f"refuses a subscription to {topic}: {event.refusal}")

    def publish(self) -> None:
        probe, address = self._probe, self._connection.address
        sent = self._connection.publish(probe)
        acknowledged = received = False
        while not (acknowledged and received):
            match self._next_event():
                case Acknowledged(mid, refusal) if mid == sent:
                    if refusal:
                        raise self._denied(f"refuses publications to {probe.topic}: {refusal}")
                    acknowledged = True
                case Received(topic, payload) if (topic, payload) == (probe.topic, probe.payload):
                    received = True
                case None if acknowledged:
                    raise self._denied(f"drops what is published to {probe.topic}")
                case None:
                    raise SinkError(f"broker {address}: does not acknowledge {probe.topic}")

    def _denied(self, problem: str) -> SinkError:
        root = self._probe.topic.rpartition("/")[0]
        advice = f"its ACL must let this user read and write {root}/#"
        return SinkError(f"broker {self._connection.address}: {problem}; {advice}")

    def _next_event(self) -> Event | None:
        """Return the next event; None when the deadline has passed."""
        while not self._events:
            left = self._deadline - time.monotonic()
            if left <= 0:
                return None
            self._events.extend(self._connection.poll(left))
        return self._events.popleft()
