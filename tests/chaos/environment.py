"""The environment of storm and soak: a clip, a filled store, the daemon, a subscriber."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from maskwatch.alerts.mqtt.payloads import ViolationPayload
from maskwatch.alerts.mqtt.topics import Topic, Topics
from maskwatch.lab.rtsp import RtspServer
from maskwatch.lab.scenes import Scene, default_heads, render
from maskwatch.lab.scenes.scene import Figure, Step
from maskwatch.lab.truth import Truth
from maskwatch.store.record import Entry
from tests.chaos.outside import Broker
from tests.fakes.quick_daemon import QuickDaemon
from tests.fakes.samples import change, make_store
from tests.fakes.waiting import SLACK

CAMERAS = ("north", "south")
# Restarts must keep pace with the kills; otherwise the storm tests the quarantine only.
_TIMEOUTS = {
    "restart_budget": 1000,
    "max_backoff": 1.0,
    "initial_backoff": 0.2,
    "recorder_start": 0.2,
    "stagger": 0.05,
    "stall_margin": 10.0,
}


def render_crowd(folder: Path) -> tuple[Path, Truth]:
    """Return a clip of five seconds in which five people without a mask come and go, and its truth."""
    path = folder / "crowd.mp4"
    lanes = ((0.1, -1.4), (0.3, 0.7), (0.5, 0.0), (0.7, -0.7), (0.9, 1.4))
    figures = tuple(
        Figure((Step(t, x, 5.2), Step(t + 2.8, x * 0.8, 2.6), Step(t + 3.8, x * 0.4, 0.9)), face=i)
        for i, (t, x) in enumerate(lanes)
    )
    scene = Scene(name="crowd", kind="chaos", seconds=5, figures=figures)
    return path, render(scene, path, size=(640, 360), fps=10.0, faces=default_heads())


def prefill(data: Path, violations: int = 1500) -> None:
    """Fill a data directory with delivered violations of today.

    The bounded caches of the recorder and of SQLite are then full soon after the start, as after a week
    of operation.
    """
    store, now = make_store(data), datetime.now(UTC)
    entries = [
        Entry(
            change(index, number, CAMERAS[index % 2], now, closed=number == 2),
            None,
            "run-0/1",
            now,
            delivered=frozenset({"mqtt"}),
        )
        for index in range(violations)
        for number in (1, 2)
    ]
    for begin in range(0, len(entries), 500):
        store.changes.record(entries[begin : begin + 500])
    store.close()


def make_daemon(
    folder: Path,
    server: RtspServer,
    broker: Broker,
    env: dict[str, str],
    people: str = "",
    **timeouts: float,
) -> QuickDaemon:
    """Return the daemon with its cameras, and `people` in YAML; not started yet."""
    rows = "\n".join(
        f"  - {{name: {name}, url: '{server.url(name)}', stall_timeout: 3,"
        " decision: {reassociate: 0.6}}"
        for name in CAMERAS
    )
    sinks = f"mqtt: {{port: {broker.port}, ack_timeout: 3}}\n{people}"
    return QuickDaemon(folder, rows, sinks, env, **{**_TIMEOUTS, **timeouts})


@dataclass
class Subscriber:
    """An independent subscriber with a persistent session, which survives restarts of the broker."""

    port: int
    alerts: deque[tuple[str, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._filter = Topics("maskwatch", "test").filter(Topic.VIOLATION)
        self.connect()

    def connect(self) -> None:
        """Connect to the session of before, if there was one."""
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="chaos", clean_session=False)
        self._client.on_connect = lambda client, *_: client.subscribe(self._filter, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._arrived
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()
        assert self._subscribed.wait(10 * SLACK)

    def _arrived(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        alert = msgspec.json.decode(message.payload, type=ViolationPayload)
        self.alerts.append((str(alert.id), alert.number))

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
