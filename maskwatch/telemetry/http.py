"""A small HTTP server in threads, and the pages for metrics and health.

The server has neither TLS nor login: outside the loopback address it belongs behind a reverse proxy
or a firewall. Connections and request sizes are bounded.
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
from typing import Any, Protocol
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from maskwatch.errors import ConfigError, PortInUseError

log = logging.getLogger(__name__)

_TEXT = "text/plain; charset=utf-8"
_MAX_CONNECTIONS = 16
_REQUEST_TIMEOUT = 10.0
_MAX_BODY = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A request: GET or POST, the path without its query, and the Accept header."""

    method: str
    path: str
    accept: str


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; `headers` are added to type, length and Cache-Control."""

    status: int
    kind: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Site(Protocol):
    """The pages of a server; called from several threads."""

    methods: tuple[str, ...]

    def answer(self, request: Request) -> Response:
        """Return the answer to a request of one of `methods`."""


class WebServer:
    """Serves a site from `start` to `stop`.

    `section` is the section of the configuration that messages name.

    Raises:
        PortInUseError: another program listens there.
        ConfigError: the address is not one of this machine, or needs a privilege.
    """

    def __init__(self, host: str, port: int, site: Site, *, section: str) -> None:
        self._server = _bind(host, port, site, section)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that it listens on, also if 0 was configured."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        host = str(self._server.server_address[0])
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def start(self) -> None:
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """Serves a bounded number of connections at a time; further ones are closed unread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = _MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], site: Site, family: socket.AddressFamily) -> None:
        self.site = site
        self.address_family = family
        self._free = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread if one is free."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def server_bind(self) -> None:
        """Bind without a DNS query for this machine's name, which may be slow."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "maskwatch", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base's
        """Log unexpected errors, but not a client that disconnected during its answer."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("a request could not be answered", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    """One request per connection."""

    timeout = _REQUEST_TIMEOUT
    server_version = "maskwatch"
    sys_version = ""

    def do_GET(self) -> None:
        self._serve("GET", body=True)

    def do_HEAD(self) -> None:
        """Answer a request for a page's headers."""
        self._serve("GET", body=False)

    def do_POST(self) -> None:
        """Answer a request for an action; its body is ignored."""
        length = self.headers.get("Content-Length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > _MAX_BODY:
            self.send_error(413)
            return
        self.rfile.read(int(length))
        self._serve("POST", body=True)

    def _serve(self, method: str, *, body: bool) -> None:
        assert isinstance(self.server, _Server)
        site = self.server.site
        if method not in site.methods:
            self.send_error(501)
            return
        path = urlsplit(self.path).path
        reply = site.answer(Request(method, path, self.headers.get("Accept", "")))
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Do not log requests."""


def _bind(host: str, port: int, site: Site, section: str) -> _Server:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return _Server((host, port), site, family)
    except OSError as error:
        where = f"{section}.host {host}, {section}.port {port}"
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"{where}: another program listens there; choose another port, or 0 for a free one"
            ) from error
        raise ConfigError(f"{where}: cannot listen there: {error.strerror or error}") from error


# --- metrics and health ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """Whether a condition holds, and what is missing, in words without secrets."""

    ok: bool
    detail: str


class MetricsPages:
    """The site with /metrics, /healthz and /readyz.

    `healthy` returns whether the process works (else it should be restarted), `ready` whether
    cameras are watched and alerts delivered.
    """

    methods: tuple[str, ...] = ("GET",)

    def __init__(
        self,
        collector: Collector,
        *,
        healthy: Callable[[], HealthStatus],
        ready: Callable[[], HealthStatus],
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        self._healthy = healthy
        self._ready = ready

    def answer(self, request: Request) -> Response:
        match request.path:
            case "/metrics":
                encode, kind = choose_encoder(request.accept)
                return Response(200, kind, encode(self._registry))
            case "/healthz":
                return _status_page(self._healthy())
            case "/readyz":
                return _status_page(self._ready())
            case _:
                return Response(404, _TEXT, b"Here are /metrics, /healthz and /readyz.\n")


def _status_page(condition: HealthStatus) -> Response:
    return Response(200 if condition.ok else 503, _TEXT, f"{condition.detail}\n".encode())
