"""The HTTP end: what it serves, how it refuses, and that one client cannot hold up another."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from maskwatch.errors import ConfigError, PortInUseError
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.collector import Collector
from maskwatch.telemetry.http import HealthStatus, MetricsPages, WebServer


class ServerHarness:
    """A collector and health states that a test changes."""

    def __init__(self) -> None:
        self.collector = Collector()
        self.healthy = HealthStatus(ok=True, detail="ok")
        self.ready = HealthStatus(ok=False, detail="0 of 2 cameras live")

    def server(self, host: str = "127.0.0.1", port: int = 0) -> WebServer:
        pages = MetricsPages(self.collector, healthy=lambda: self.healthy, ready=lambda: self.ready)
        return WebServer(host, port, pages, section="metrics")


@pytest.fixture
def harness() -> ServerHarness:
    return ServerHarness()


@pytest.fixture
def server(harness: ServerHarness) -> Iterator[WebServer]:
    started = harness.server()
    started.start()
    yield started
    started.stop()


def get(url: str, accept: str = "") -> tuple[int, str, str]:
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_metrics_are_served_in_the_format_that_prometheus_requests(
    harness: ServerHarness, server: WebServer
) -> None:
    harness.collector.own.set(catalogue.RELOAD_OK, 1)
    harness.collector.publish_own()
    status, kind, text = get(f"{server.url}/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert "maskwatch_config_last_reload_successful 1.0\n" in text
    _, kind, text = get(f"{server.url}/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_health_and_readiness_show_the_owners_status(harness: ServerHarness, server: WebServer) -> None:
    assert get(f"{server.url}/healthz")[::2] == (200, "ok\n")
    assert get(f"{server.url}/readyz")[::2] == (503, "0 of 2 cameras live\n")
    harness.ready = HealthStatus(ok=True, detail="2 of 2 cameras live")
    assert get(f"{server.url}/readyz?verbose")[0] == 200


def test_other_pages_do_not_exist_and_other_methods_are_refused(server: WebServer) -> None:
    assert get(f"{server.url}/")[0] == 404
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.url}/metrics", data=b"x", timeout=10)
    with refused.value as error:
        assert error.code == 501


def test_a_port_in_use_is_a_clear_error(harness: ServerHarness, server: WebServer) -> None:
    with pytest.raises(PortInUseError, match=f"metrics.port {server.port}: another program"):
        harness.server(port=server.port)


def test_an_address_of_another_machine_is_a_clear_error(harness: ServerHarness) -> None:
    with pytest.raises(ConfigError, match=r"metrics.host 192.0.2.1.*cannot listen"):
        harness.server(host="192.0.2.1")


def test_the_port_is_free_again_after_the_end(harness: ServerHarness) -> None:
    first = harness.server()
    first.start()
    port = first.port
    first.stop()
    second = harness.server(port=port)
    second.stop()


def test_silent_clients_do_not_delay_a_scrape(server: WebServer) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
    assert get(f"{server.url}/metrics")[0] == 200
    for each in idle:
        each.close()


def test_connections_beyond_the_limit_are_closed_without_new_threads(server: WebServer) -> None:
    before = threading.active_count()
    many = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
    closed = 0
    for each in many[16:]:
        each.settimeout(5)
        closed += each.recv(1) == b""
    assert closed == 44
    assert threading.active_count() <= before + 16
    for each in many:
        each.close()


def test_a_client_that_disconnects_during_an_answer_is_not_logged(
    server: WebServer, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(5):
        each = socket.create_connection(("127.0.0.1", server.port))
        each.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        each.close()
    assert get(f"{server.url}/healthz")[0] == 200
    assert capfd.readouterr().err == ""
