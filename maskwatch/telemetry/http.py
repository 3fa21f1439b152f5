"""/metrics, /healthz and /readyz over HTTP, on threads of their own.

Health and readiness are answered by callables of the owner, which must not block. A scrape never
holds up the owner: what is served is what the collector holds. Loopback by default; there is no
TLS and no login, so anything else belongs behind a reverse proxy or a firewall.
"""

from __future__ import annotations

import errno
import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from maskwatch.errors import ConfigError, PortInUseError

__all__ = ["Condition", "MetricsServer"]

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 16
_REQUEST_TIMEOUT = 10.0
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether all is well, and what is not, in words without secrets."""

    ok: bool
    detail: str


class MetricsServer:
    """Serves from `start` to `stop`.

    `healthy` says whether the process works (else it should be restarted), `ready` whether it
    does what it is for (cameras watched, alerts delivered).

    Raises:
        PortInUseError: another program listens there.
        ConfigError: the address is not one of this machine, or needs a right we lack.
    """

    def __init__(
        self,
        host: str,
        port: int,
        collector: Collector,
        *,
        healthy: Callable[[], Condition],
        ready: Callable[[], Condition],
    ) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        self._server = _bind(host, port, _Pages(registry, healthy, ready))
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that it listens on, also when 0 was asked for."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Address to fetch from."""
        host = str(self._server.server_address[0])
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def start(self) -> None:
        """Serve in the background."""
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and give the port back."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


@dataclass(frozen=True, slots=True)
class _Pages:
    """What is served."""

    registry: CollectorRegistry
    healthy: Callable[[], Condition]
    ready: Callable[[], Condition]

    def get(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Return status, content type and body of a page."""
        match path:
            case "/metrics":
                encode, kind = choose_encoder(accept)
                return 200, kind, encode(self.registry)
            case "/healthz":
                return _answer(self.healthy())
            case "/readyz":
                return _answer(self.ready())
            case _:
                return 404, _TEXT, b"Here are /metrics, /healthz and /readyz.\n"


def _answer(condition: Condition) -> tuple[int, str, bytes]:
    return 200 if condition.ok else 503, _TEXT, f"{condition.detail}\n".encode()


class _Server(ThreadingHTTPServer):
    """Answers a bounded number of connections at a time; more are closed unread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = _MOST_CONNECTIONS

    def __init__(self, address: tuple[str, int], pages: _Pages, family: socket.AddressFamily) -> None:
        self.pages = pages
        self.address_family = family
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if one is free."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, then free the thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def server_bind(self) -> None:
        """Bind without asking the DNS for our own name, which may take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "maskwatch", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base's
        """Say nothing of a client that went away in mid-answer."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("a request could not be answered", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    """One request per connection."""

    timeout = _REQUEST_TIMEOUT
    server_version = "maskwatch"
    sys_version = ""

    def do_GET(self) -> None:
        """Serve a page."""
        self._serve(body=True)

    def do_HEAD(self) -> None:
        """Serve a page's headers."""
        self._serve(body=False)

    def _serve(self, *, body: bool) -> None:
        assert isinstance(self.server, _Server)
        path = urlsplit(self.path).path
        status, kind, data = self.server.pages.get(path, self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the log for events; requests are none."""


def _bind(host: str, port: int, pages: _Pages) -> _Server:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return _Server((host, port), pages, family)
    except OSError as error:
        where = f"metrics.host {host}, metrics.port {port}"
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"{where}: another program listens there; choose another port, or 0 for a free one"
            ) from error
        raise ConfigError(f"{where}: cannot listen there: {error.strerror or error}") from error
