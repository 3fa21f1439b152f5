"""The page that acknowledge links lead to: it shows the violation, and acknowledges on request.

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
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.supervisor.commands import Reply
from maskwatch.supervisor.http_servers import ConfiguredServer
from maskwatch.telemetry.http import Request, Response, WebServer

_log = logging.getLogger(__name__)

Acknowledge = Callable[[AckToken], CommandResult]

_CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
_HEADERS = (
    ("Content-Security-Policy", _CONTENT_POLICY),
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

    `acknowledge` returns the result; it may take seconds.
    """

    methods: tuple[str, ...] = ("GET", "POST")
    immediate: frozenset[str] = frozenset()

    def __init__(
        self, signer: AckTokenSigner, now: Callable[[], datetime], acknowledge: Acknowledge
    ) -> None:
        self._signer = signer
        self._now = now
        self._acknowledge = acknowledge

    def answer(self, request: Request) -> Response:
        """Show the violation of a link, or acknowledge it."""
        found = self._signer.verify(request.path, self._now())
        match found:
            case AckToken() if request.method == "POST":
                return self._post(found)
            case AckToken():
                text = f"{_describe(found)} Do you take care of it?"
                return _page(200, "A person without a mask", text, _BUTTON)
            case TokenError.EXPIRED:
                text = "This link has expired: acknowledge on the machine itself."
                return _page(410, "Too late", text)
            case TokenError.FORGED:
                _log.warning("refused a link with an invalid signature")
                return _page(404, "Not found", "This is not a link of this machine, or it was altered.")

    def _post(self, token: AckToken) -> Response:
        result = self._acknowledge(token)
        if not result.ok:
            return _page(503, "That did not work", f"{escape(result.detail)}. Try again in a minute.")
        return _page(200, "Thank you", f"{_describe(token)} It is {escape(result.detail)}.")


def _describe(token: AckToken) -> str:
    began = _began(token.violation)
    when = f" of {began:%Y-%m-%d %H:%M:%S} UTC" if began else ""
    text = f"The violation{when} that was reported to {escape(token.channel)}."
    return f"{text}<br><small>{token.violation}</small><br>"


def _began(violation: UUID) -> datetime | None:
    """Return when a violation began, which a UUIDv7 contains."""
    return datetime.fromtimestamp((violation.int >> 80) / 1000, UTC) if violation.version == 7 else None


def _page(status: int, title: str, text: str, form: str = "") -> Response:
    body = _PAGE.format(title=title, text=text, form=form).encode()
    return Response(status, "text/html; charset=utf-8", body, _HEADERS)


class AckPageServer(ConfiguredServer):
    """Serves the page while the configuration enables it.

    `run` replies once; it is called from the threads of requests.
    """

    def __init__(
        self, now: Callable[[], datetime], run: Callable[[Command, Reply], object], timeout: float
    ) -> None:
        super().__init__()
        self._now = now
        self._run = run
        self._timeout = timeout

    def _port(self, config: Config) -> int:
        return config.links.port

    def _create(self, config: Config) -> WebServer | None:
        signer = AckTokenSigner.of(config)
        if signer is None:
            return None
        page = AckPage(signer, self._now, self._acknowledge)
        server = WebServer(config.links.host, config.links.port, page, section="links")
        _log.info("acknowledge links are served at %s", server.url)
        return server

    def _acknowledge(self, token: AckToken) -> CommandResult:
        """Acknowledge a violation; blocks the request's thread."""
        done: Future[CommandResult] = Future()
        command = Command(
            id=f"link-{uuid4()}",
            verb="acknowledge",
            target=str(token.violation),
            origin=f"link:{token.channel}",
            by=f"link of {token.channel}",
        )
        self._run(command, done.set_result)
        try:
            return done.result(self._timeout)
        except TimeoutError:
            return CommandResult(id=command.id, ok=False, detail="The daemon is busy")
