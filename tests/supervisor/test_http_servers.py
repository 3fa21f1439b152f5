"""The HTTP servers follow the configuration, and stay where they were if they cannot."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import Iterator

import pytest

from maskwatch.clock import SystemClock
from maskwatch.config.diff import difference
from maskwatch.config.schema import CameraConfig, Config, LinksConfig, MetricsConfig
from maskwatch.errors import PortInUseError
from maskwatch.lab.broker import free_port
from maskwatch.secrets import Secret, SecretUrl
from maskwatch.supervisor.ack_page import AckPageServer
from maskwatch.supervisor.http_servers import HttpServers, MetricsEndpoint
from maskwatch.supervisor.readiness import Readiness
from maskwatch.telemetry.collector import Collector


def make_config(metrics: MetricsConfig, links_port: int = 0) -> Config:
    links = LinksConfig(
        enabled=links_port > 0, port=links_port, key=Secret("a key for tests of thirty-two chars")
    )
    camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
    return Config(cameras=(camera,), metrics=metrics, links=links)


def serve(endpoint: MetricsEndpoint, **metrics: object) -> None:
    endpoint.serve(make_config(MetricsConfig(**metrics)))  # type: ignore[arg-type]  # its own fields


def make_endpoint() -> MetricsEndpoint:
    return MetricsEndpoint(Collector(), Readiness(SystemClock()))


@pytest.fixture
def endpoint() -> Iterator[MetricsEndpoint]:
    made = make_endpoint()
    yield made
    made.stop()


def health(endpoint: MetricsEndpoint) -> str:
    with urllib.request.urlopen(f"{endpoint.url}/healthz", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def test_serving_moves_to_another_port_and_can_be_disabled(endpoint: MetricsEndpoint) -> None:
    serve(endpoint, port=0)
    first = endpoint.url
    serve(endpoint, port=0)
    assert endpoint.url != first
    assert health(endpoint) == "the main loop turns\n"
    serve(endpoint, enabled=False)
    assert endpoint.url == ""


def test_serving_moves_to_another_address_of_the_same_port(endpoint: MetricsEndpoint) -> None:
    port = free_port()
    serve(endpoint, host="127.0.0.1", port=port)
    serve(endpoint, host="0.0.0.0", port=port)
    assert "0.0.0.0" in endpoint.url


def test_a_port_in_use_leaves_the_former_one_served(endpoint: MetricsEndpoint) -> None:
    serve(endpoint, port=0)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortInUseError):
        serve(endpoint, port=taken.getsockname()[1])
    assert health(endpoint) == "the main loop turns\n"


@pytest.mark.parametrize("taken", ["metrics", "links"])
def test_when_one_port_is_in_use_both_servers_stay(taken: str, endpoint: MetricsEndpoint) -> None:
    page = AckPageServer(SystemClock().now, lambda *_: None, 1.0)
    servers = HttpServers(endpoint, page)
    old = make_config(MetricsConfig(port=free_port()), free_port())
    for server in servers.by_section().values():
        server.serve(old)
    before = (endpoint.url, page.url)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        foreign = stranger.getsockname()[1]
        ports = (foreign, free_port()) if taken == "metrics" else (free_port(), foreign)
        new = make_config(MetricsConfig(port=ports[0]), ports[1])
        with pytest.raises(PortInUseError):
            servers.move(difference(old, new), old, new)
    assert (endpoint.url, page.url) == before
    servers.stop()


def test_a_first_server_does_not_replace_one_of_a_reload(endpoint: MetricsEndpoint) -> None:
    asyncio.run(endpoint.serve_first(make_config(MetricsConfig(port=0))))
    first = endpoint.url
    assert health(endpoint) == "the main loop turns\n"
    asyncio.run(endpoint.serve_first(make_config(MetricsConfig(port=0))))
    assert endpoint.url == first
