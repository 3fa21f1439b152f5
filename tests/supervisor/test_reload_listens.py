"""A reload moves both HTTP ends or none."""

from __future__ import annotations

import pytest

from maskwatch.clock import SystemClock
from maskwatch.config.diff import difference
from maskwatch.config.schema import CameraConfig, Config, LinksConfig, MetricsConfig
from maskwatch.errors import PortInUseError
from maskwatch.lab.broker import free_port
from maskwatch.secrets import Secret, SecretUrl
from maskwatch.supervisor.ack_page import AckPageServer
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.supervisor.reload import reopen_listeners
from maskwatch.telemetry.http import HealthStatus


def config(metrics: int, links: int) -> Config:
    return Config(
        cameras=(CameraConfig(name="door", url=SecretUrl("rtsp://x/1")),),
        metrics=MetricsConfig(port=metrics),
        links=LinksConfig(enabled=True, port=links, key=Secret("a key for tests of thirty-two chars")),
    )


@pytest.mark.parametrize("taken", ["metrics", "links"])
def test_when_one_port_is_taken_both_ends_stay_where_they_were(taken: str) -> None:
    well = HealthStatus(ok=True, detail="ok")
    telemetry = SupervisorMetrics(SystemClock(), healthy=lambda: well, ready=lambda: well)
    stranger = SupervisorMetrics(SystemClock(), healthy=lambda: well, ready=lambda: well)
    door = AckPageServer(SystemClock().now, lambda *_: None, 1.0)
    old = config(free_port(), free_port())
    telemetry.serve(old.metrics)
    door.serve(old)
    before = (telemetry.url, door.url)
    foreign = free_port()
    stranger.serve(MetricsConfig(port=foreign))
    new = config(foreign, free_port()) if taken == "metrics" else config(free_port(), foreign)
    try:
        with pytest.raises(PortInUseError):
            reopen_listeners(telemetry, door, difference(old, new), old, new)
        assert (telemetry.url, door.url) == before
    finally:
        for each in (telemetry, stranger, door):
            each.stop()
