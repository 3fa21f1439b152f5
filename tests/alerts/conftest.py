"""A broker, a subscriber, a sink and an HTTP server for the tests of alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from maskwatch.alerts.mqtt.sink import MqttSink
from maskwatch.backoff import Backoff
from maskwatch.config.schema import CameraConfig, Config, MqttConfig, MqttVersion
from maskwatch.secrets import SecretUrl
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.recorder_side import FakeRecorder
from tests.fakes.web_peer import WebPeer

MakeSink = Callable[..., MqttSink]
StartSink = Callable[..., MqttSink]


def config(
    mqtt: MqttConfig, data_dir: Path, node: str = "gate 1", cameras: Sequence[str] = ("door",)
) -> Config:
    """Return the configuration of a node with these cameras."""
    watched = tuple(CameraConfig(name=name, url=SecretUrl("rtsp://x/1")) for name in cameras)
    return Config(node=node, cameras=watched, mqtt=mqtt, data_dir=str(data_dir))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Run a broker without access control."""
    started = Mosquitto(tmp_path)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    """Subscribe to every topic of the broker."""
    listener = Listener(broker.port)
    yield listener
    listener.close()


@pytest.fixture
def recorder() -> FakeRecorder:
    return FakeRecorder()


@pytest.fixture(params=list(MqttVersion), ids=["mqtt311", "mqtt5"])
def version(request: pytest.FixtureRequest) -> MqttVersion:
    """Run the test with each version of the protocol."""
    chosen: MqttVersion = request.param
    return chosen


@pytest.fixture
def make_sink(tmp_path: Path) -> Iterator[MakeSink]:
    """Create sinks that are stopped when the test ends.

    Each has a data directory of its own, as one of another machine, unless `data_dir` is given.
    """
    made: list[MqttSink] = []

    def make(
        port: int,
        *,
        node: str = "gate 1",
        cameras: Sequence[str] = ("door",),
        max_wait: float = 0.2,
        data_dir: Path | None = None,
        **options: object,
    ) -> MqttSink:
        mqtt = MqttConfig(port=port, **options)
        directory = data_dir or tmp_path / f"data-{len(made)}"
        directory.mkdir(exist_ok=True)
        sink = MqttSink(
            config(mqtt, directory, node, cameras), backoff=Backoff(first=max_wait, cap=max_wait)
        )
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.stop(5)


@pytest.fixture
def start_sink(broker: Mosquitto, recorder: FakeRecorder, make_sink: MakeSink) -> StartSink:
    """Create sinks as `make_sink` does, and connect them to the broker."""

    def start(**options: object) -> MqttSink:
        sink = make_sink(broker.port, **options)
        recorder.start(sink)
        return sink

    return start


@pytest.fixture
def peer() -> Iterator[WebPeer]:
    """Return an HTTP server that records requests."""
    opened = WebPeer()
    yield opened
    opened.close()
