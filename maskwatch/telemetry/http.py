"""A small HTTP server with a deadline for every request and a bound on its connections.

It has neither TLS nor login: outside the loopback address it belongs behind a reverse proxy or a
firewall. A connection carries one request. When all connections are taken, a new client displaces
the one that has kept the server waiting for longest, so that slow clients cannot lock others out.
Pages that a site answers from memory wait for no other page.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import logging
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import urlsplit

from maskwatch.errors import ConfigError, PortInUseError

log = logging.getLogger(__name__)

_MAX_CONNECTIONS = 64
_MAX_ANSWERS = 32  # being made; the other connections are for requests that are arriving
# The kernel holds further clients until they are accepted; beyond this it drops their first packet,
# which costs them a second.
_BACKLOG = 1024
_REQUEST_SECONDS = 10.0  # from the connection to the last byte of the request
_RESPONSE_SECONDS = 10.0  # from the first byte of the answer to the last
_MAX_HEAD = 16 * 1024
_MAX_BODY = 1024
_THREADS = 4
_NO_DESCRIPTOR_PAUSE = 0.2
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_PATH = re.compile(rb"^[A-Z]+ ([^ ?\r\n]+)")
_BUSY = (
    b"HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 39\r\nRetry-After: 1\r\n\r\nToo many requests; try again in seconds\n"
)
_CONTENT_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,9})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Request:
    """A request: GET or POST, the path without its query, the Accept header.

    `arrived` is when its last byte came (monotonic).
    """

    method: str
    path: str
    accept: str
    arrived: float


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; `headers` are added to type, length and Cache-Control."""

    status: int
    kind: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Site(Protocol):
    """The pages of a server; called from several threads.

    `immediate`: the paths that are answered from memory, at once and whatever other pages take.
    """

    methods: tuple[str, ...]
    immediate: frozenset[str]

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
        self._listener = _bind(host, port, section)
        self._address: tuple[str, int] = self._listener.getsockname()[:2]
        self._connections = _Connections(site)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = threading.Event()

    @property
    def port(self) -> int:
        """The port that it listens on, also if 0 was configured."""
        return self._address[1]

    @property
    def url(self) -> str:
        host = self._address[0]
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def start(self) -> None:
        loop = asyncio.new_event_loop()
        self._accepting = loop.create_task(self._accept())
        threading.Thread(target=self._run, args=(loop,), name="http", daemon=True).start()
        self._loop = loop  # set once `stop` has a thread to wait for

    def stop(self) -> None:
        """Accept no more requests; answers that are being made are still sent."""
        if self._loop is None:
            self._listener.close()
            return
        self._loop.call_soon_threadsafe(self._accepting.cancel)
        self._closed.wait()

    # --- the server's own thread --------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.closing(loop):
            try:
                with contextlib.suppress(asyncio.CancelledError):
                    loop.run_until_complete(self._accepting)
            finally:
                self._listener.close()
                self._closed.set()
            loop.run_until_complete(self._connections.finish())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
            except OSError:  # no descriptor is free, or the client has gone
                self._connections.drop_oldest()
                await asyncio.sleep(_NO_DESCRIPTOR_PAUSE)
                continue
            self._connections.serve(client)
            # A request that has arrived is read now, before a later client can displace it.
            await asyncio.sleep(0)


class _Connections:
    """The open connections; each is served by a task."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._threads = ThreadPoolExecutor(_THREADS, "http")
        # Waiting for their clients, oldest first, and for the site.
        self._waiting: dict[asyncio.Task[None], None] = {}
        self._answering: set[asyncio.Task[None]] = set()

    def serve(self, client: socket.socket) -> None:
        """Serve a client, in place of the oldest one if there are too many."""
        if len(self._waiting) + len(self._answering) >= _MAX_CONNECTIONS:
            self.drop_oldest()
        task = asyncio.create_task(self._serve(client))
        self._waiting[task] = None
        task.add_done_callback(lambda done: self._waiting.pop(done, None))

    def drop_oldest(self) -> None:
        """Close the connection that has waited for its client for longest."""
        if self._waiting:
            task = next(iter(self._waiting))
            del self._waiting[task]
            task.cancel()

    async def finish(self) -> None:
        """Send the answers that are being made, and close all other connections."""
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, *self._answering, return_exceptions=True)
        self._threads.shutdown(wait=False)

    async def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # it has disconnected, or a deadline has passed
            async with asyncio.timeout(_REQUEST_SECONDS):
                request = await _receive(client)
            answer = await self._answer(request)
            async with asyncio.timeout(_RESPONSE_SECONDS):
                await asyncio.get_running_loop().sock_sendall(client, answer)

    async def _answer(self, request: bytes) -> bytes:
        path = _PATH.match(request)
        if path and path[1].decode("latin-1") in self._site.immediate:
            return _answer(request, self._site, time.monotonic())
        return await self._answer_in_thread(request) if len(self._answering) < _MAX_ANSWERS else _BUSY

    async def _answer_in_thread(self, request: bytes) -> bytes:
        task = asyncio.current_task()
        assert task is not None
        self._waiting.pop(task, None)
        self._answering.add(task)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._threads, _answer, request, self._site, time.monotonic()
            )
        finally:
            self._answering.discard(task)
            self._waiting[task] = None


async def _receive(client: socket.socket) -> bytes:
    """Return a complete request; only the head of one whose body is too long.

    Raises:
        ConnectionError: the client disconnected before, or its head is too long.
    """
    data = b""
    while (end := _HEAD_END.search(data)) is None:
        if len(data) > _MAX_HEAD:
            raise ConnectionAbortedError
        data += await _some(client)
    length = _CONTENT_LENGTH.search(data, 0, end.end())
    missing = int(length[1]) if length else 0
    while missing <= _MAX_BODY and len(data) < end.end() + missing:
        data += await _some(client)
    return data


async def _some(client: socket.socket) -> bytes:
    data = await asyncio.get_running_loop().sock_recv(client, 4096)
    if not data:
        raise ConnectionAbortedError
    return data


def _answer(request: bytes, site: Site, arrived: float) -> bytes:
    """Return the whole answer to a request."""
    handler = _Handler(request, site, arrived)
    return handler.wfile.getvalue()


class _Handler(BaseHTTPRequestHandler):
    """Parses a request and answers it, in memory."""

    server_version = "maskwatch"
    sys_version = ""
    wfile: io.BytesIO

    def __init__(self, request: bytes, site: Site, arrived: float) -> None:
        self._site = site
        self._arrived = arrived
        self.rfile, self.wfile = io.BytesIO(request), io.BytesIO()
        self.client_address = ("", 0)
        try:
            self.handle_one_request()
        except Exception:  # the entry point of the site's pages
            log.exception("a request could not be answered")
            self.wfile = io.BytesIO()
            self.send_error(500)

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
        self._serve("POST", body=True)

    def _serve(self, method: str, *, body: bool) -> None:
        if method not in self._site.methods:
            self.send_error(501)
            return
        path = urlsplit(self.path).path
        accept = self.headers.get("Accept", "")
        reply = self._site.answer(Request(method, path, accept, self._arrived))
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


def _bind(host: str, port: int, section: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        where = f"{section}.host {host}, {section}.port {port}"
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"{where}: another program listens there; choose another port, or 0 for a free one"
            ) from error
        message = f"{where}: cannot listen there: {error.strerror or error}"
        if error.errno == errno.EACCES:
            raise ConfigError(message) from None  # a privilege does not come by waiting
        raise ConfigError(message) from error
    listener.settimeout(0.0)
    return listener
