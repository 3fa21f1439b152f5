"""An MQTT subscriber that records every alert and its time of arrival, for the demo and tests."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from maskwatch.alerts.mqtt.payloads import ViolationPayload
from maskwatch.alerts.mqtt.topics import Topic, Topics
from maskwatch.errors import MaskwatchError


@dataclass(frozen=True, slots=True)
class Arrival:
    """One alert as the subscriber received it."""

    alert: ViolationPayload
    arrived: datetime

    @property
    def latency(self) -> float:
        """Seconds from the capture of the frame that caused the alert to its arrival here."""
        return (self.arrived - self.alert.at).total_seconds()


class Listener:
    """Subscribes with QoS 1 to the violations of one node; use it as a context manager.

    Raises:
        MaskwatchError: the broker cannot be reached.
    """

    def __init__(self, host: str, port: int, topics: Topics) -> None:
        self._address = (host, port)
        self._filter = topics.filter(Topic.VIOLATION)
        self._arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        try:
            self._client.connect(*self._address)
        except OSError as error:
            host, port = self._address
            raise MaskwatchError(f"the broker at {host}:{port} cannot be reached: {error}") from error
        self._client.loop_start()
        if not self._subscribed.wait(10):
            self.__exit__(None, None, None)
            raise MaskwatchError("the broker did not confirm the subscription within 10 s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def next(self, timeout: float) -> Arrival | None:
        """Return the next alert, or None after `timeout` seconds."""
        try:
            return self._arrivals.get(timeout=timeout)
        except queue.Empty:
            return None

    def _on_connect(self, client: mqtt.Client, *_rest: object) -> None:
        client.subscribe(self._filter, qos=1)

    def _on_subscribe(self, *_rest: object) -> None:
        self._subscribed.set()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        arrived = datetime.now(UTC)
        alert = msgspec.json.decode(message.payload, type=ViolationPayload)
        self._arrivals.put(Arrival(alert, arrived))
