"""The HTTP end: what it serves, how it refuses, and that one client cannot hold up another."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.core import Metric as Family

from maskwatch.errors import ConfigError, PortInUseError
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.collector import Collector
from maskwatch.telemetry.http import Request, Response, WebServer
from maskwatch.telemetry.metrics_pages import HealthStatus, MetricsPages
from tests.fakes.dripping_clients import DrippingClients
from tests.fakes.waiting import SLACK, wait_until


class SlowCollector(Collector):
    """Its metrics are collected once `go_on` is set; `collected` counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.collected = 0

    def collect(self) -> Iterator[Family]:
        self.collected += 1
        self.go_on.wait(60)
        return super().collect()


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


@pytest.mark.parametrize("count", [16, 64, 500])
def test_dripping_clients_do_not_delay_others(server: WebServer, count: int) -> None:
    with DrippingClients(server.port, count) as clients:
        wait_until(lambda: clients.connected >= count)
        for _ in range(5):
            began = time.monotonic()
            assert get(f"{server.url}/healthz")[0] == 200
            assert time.monotonic() - began < 2.0 * SLACK  # the deadline of a slow client is 10 s


def test_scrapes_that_take_long_delay_neither_health_nor_readiness(harness: ServerHarness) -> None:
    harness.collector = slow = SlowCollector()
    server = harness.server()
    server.start()
    with ThreadPoolExecutor(100) as pool:
        scrapes = [pool.submit(get, f"{server.url}/metrics") for _ in range(100)]
        wait_until(lambda: sum(each.done() for each in scrapes) >= 68, what="32 scrapes are left")
        for page, status in (("healthz", 200), ("readyz?verbose", 503)):
            began = time.monotonic()
            assert get(f"{server.url}/{page}")[0] == status
            assert time.monotonic() - began < 2.0 * SLACK
        slow.go_on.set()
        results = Counter(each.result(60)[0] for each in scrapes)
        assert results == {200: 32, 503: 68}
        assert slow.collected == 2, "those that waited share one text"
        assert get(f"{server.url}/metrics")[0] == 200
        assert slow.collected == 3, "a later one has a text of its own"
    server.stop()


@pytest.mark.parametrize(
    "beginning",
    [b"GET /heal", b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"],
    ids=["request line", "headers", "body"],
)
def test_a_request_has_a_deadline_however_it_arrives(
    server: WebServer, beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskwatch.telemetry.http._REQUEST_SECONDS", 0.5)
    with DrippingClients(server.port, 1, beginning) as clients:
        wait_until(lambda: clients.connected > 1, what="the server closes the connection")


def test_an_answer_that_is_not_taken_has_a_deadline(
    harness: ServerHarness, server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskwatch.telemetry.http._RESPONSE_SECONDS", 0.5)
    harness.healthy = HealthStatus(ok=True, detail="x" * 16_000_000)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        time.sleep(1.0)
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while data := client.recv(1 << 20):
                received += len(data)
    assert received < 16_000_000


def test_beyond_the_limit_the_oldest_connections_are_closed_without_new_threads(
    server: WebServer,
) -> None:
    before = threading.active_count()
    many = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    for each in many[:36]:
        each.settimeout(5 * SLACK)
        assert each.recv(1) == b""
    assert threading.active_count() <= before
    for each in many[36:]:
        each.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        each.settimeout(5 * SLACK)
        assert each.recv(12) == b"HTTP/1.0 200"
    for each in many:
        each.close()


def test_newcomers_do_not_displace_a_client_whose_answer_is_being_made() -> None:
    asked, made = threading.Event(), threading.Event()

    class SlowSite:
        methods = ("GET",)
        immediate = frozenset[str]()

        def answer(self, _: Request) -> Response:
            asked.set()
            made.wait(30)
            return Response(200, "text/plain", b"made")

    server = WebServer("127.0.0.1", 0, SlowSite(), section="metrics")
    server.start()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, server.url)
        assert asked.wait(30)
        with DrippingClients(server.port, 200) as clients:
            wait_until(lambda: clients.connected > 300, what="connections are displaced")
        stopping = pool.submit(server.stop)
        made.set()
        assert answer.result(30)[2] == "made"
        stopping.result(30)


@pytest.mark.parametrize(
    "request_text",
    [
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\n: \r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"G" * 20_000,
    ],
)
def test_a_malformed_request_is_refused_and_the_server_goes_on(
    server: WebServer, request_text: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10 * SLACK) as client:
        client.sendall(request_text)
        with contextlib.suppress(ConnectionResetError):
            assert b" 200 " not in client.recv(100)
    assert get(f"{server.url}/healthz")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_client_that_disconnects_during_an_answer_is_not_logged(
    server: WebServer, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(5):
        each = socket.create_connection(("127.0.0.1", server.port))
        each.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        each.close()
    assert get(f"{server.url}/healthz")[0] == 200
    assert capfd.readouterr().err == ""
