"""The page that acknowledge links lead to: it shows what for, and acknowledges when asked to.

Fetching a link does nothing, since mail scanners fetch every link they see; the button does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from html import escape
from uuid import UUID, uuid4

from maskwatch.alerts.notify.ack_links import AckToken, AckTokenSigner, TokenError
from maskwatch.config.schema import Config
from maskwatch.errors import MaskwatchError
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.supervisor.commands import Reply
from maskwatch.telemetry import http as web
from maskwatch.telemetry.http import Request, WebServer

__all__ = ["AckPage", "AckPageServer"]

_log = logging.getLogger(__name__)

Acknowledge = Callable[[AckToken], CommandResult]

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Robots-Tag", "noindex, nofollow"),
)
_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>maskwatch</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:1.1rem/1.5 sans-serif;max-width:34rem;margin:12vh auto;padding:0 1rem}}
button{{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:.3rem;background:#0b6e4f;color:#fff}}
small{{color:#555;overflow-wrap:anywhere}}</style></head>
<body><h1>{title}</h1><p>{text}</p>{form}</body></html>
"""
_BUTTON = '<form method="post"><button type="submit">Acknowledge</button></form>'


class AckPage:
    """Implements `maskwatch.telemetry.http.Site`.

    Args:
        tickets: reads links.
        now: the wall time in UTC.
        acknowledge: has the violation acknowledged, and returns how that ended; may take seconds.

    """

    methods: tuple[str, ...] = ("GET", "POST")

    def __init__(
        self, tickets: AckTokenSigner, now: Callable[[], datetime], acknowledge: Acknowledge
    ) -> None:
        self._tickets = tickets
        self._now = now
        self._acknowledge = acknowledge

    def answer(self, request: Request) -> web.Response:
        """Show what a link is for, or do it."""
        found = self._tickets.read(request.path, self._now())
        match found:
            case AckToken() if request.method == "POST":
                return self._take(found)
            case AckToken():
                text = f"{_told(found)} Do you take care of it?"
                return _page(200, "A person without a mask", text, _BUTTON)
            case TokenError.EXPIRED:
                return _page(
                    410, "Too late", "This link has expired: acknowledge on the machine itself."
                )
            case TokenError.FORGED:
                _log.warning("a link was refused that was not signed here")
                return _page(404, "Nothing here", "This is no link of this machine, or it was altered.")

    def _take(self, ticket: AckToken) -> web.Response:
        done = self._acknowledge(ticket)
        if not done.ok:
            return _page(503, "That did not work", f"{escape(done.detail)}. Try again in a minute.")
        return _page(200, "Thank you", f"{_told(ticket)} It is {escape(done.detail)}.")


def _told(ticket: AckToken) -> str:
    at = _began(ticket.violation)
    when = f" of {at:%Y-%m-%d %H:%M:%S} UTC" if at else ""
    told = f"The violation{when} that {escape(ticket.channel)} was told of."
    return f"{told}<br><small>{ticket.violation}</small><br>"


def _began(violation: UUID) -> datetime | None:
    """Return when it began, which a UUIDv7 says."""
    return datetime.fromtimestamp((violation.int >> 80) / 1000, UTC) if violation.version == 7 else None


def _page(status: int, title: str, text: str, form: str = "") -> web.Response:
    body = _PAGE.format(title=title, text=text, form=form).encode()
    return web.Response(status, "text/html; charset=utf-8", body, _HEADERS)


class AckPageServer:
    """Serves the page while the configuration asks for it.

    Args:
        now: the wall time in UTC.
        run: has a command carried out, and replies once; may be called from any thread.
        patience: seconds to wait for the reply.

    """

    def __init__(
        self, now: Callable[[], datetime], run: Callable[[Command, Reply], object], patience: float
    ) -> None:
        self._now = now
        self._run = run
        self._patience = patience
        self._server: WebServer | None = None
        self._served: Config | None = None

    @property
    def url(self) -> str:
        """Where it is served, "" if it is not."""
        return self._server.url if self._server else ""

    def serve(self, config: Config) -> None:
        """Serve as `config` says from now on.

        Raises:
            PortInUseError, ConfigError: it cannot be served there; what was served before goes on.

        """
        before = self._served
        self.stop()
        try:
            self._server = self._open(config)
        except MaskwatchError:
            self._server = self._open(before) if before is not None else None
            raise
        self._served = config

    def _open(self, config: Config) -> WebServer | None:
        tickets = AckTokenSigner.of(config)
        if tickets is None:
            return None
        page = AckPage(tickets, self._now, self._acknowledge)
        server = WebServer(config.links.host, config.links.port, page, section="links")
        server.start()
        _log.info("links to acknowledge are answered at %s", server.url)
        return server

    def _acknowledge(self, ticket: AckToken) -> CommandResult:
        """Have a violation acknowledged; blocks the thread of its request."""
        done: Future[CommandResult] = Future()
        command = Command(
            id=f"link-{uuid4()}",
            verb="acknowledge",
            target=str(ticket.violation),
            origin=f"link:{ticket.channel}",
        )
        self._run(command, done.set_result)
        try:
            return done.result(self._patience)
        except TimeoutError:
            return CommandResult(id=command.id, ok=False, detail="The daemon is busy")

    def stop(self) -> None:
        """Serve no longer."""
        if self._server is not None:
            self._server.stop()
            self._server = None
