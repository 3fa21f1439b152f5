"""The first steps to a camera's stream, before FFmpeg: connect, log in, follow redirects, describe.

Every failure has its own error here, while FFmpeg has one for most. Credentials are sent by Digest, and
by Basic only over TLS or if the configuration allows it.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

from maskwatch.capture.rtsp_auth import Challenge, Credentials, Login, challenges, choose
from maskwatch.capture.rtsp_message import Message, MessageError, MessageReader
from maskwatch.config.addresses import RTSP_PORTS, bracketed, redirect_host
from maskwatch.config.schema import CameraAuth
from maskwatch.config.tls import TlsFileError, trusting
from maskwatch.errors import (
    SourceError,
    SourceGarbageError,
    SourceLoginMethodError,
    SourceNotFoundError,
    SourceNoVideoError,
    SourceRedirectedError,
    SourceRefusedError,
    SourceSilentError,
    SourceUnauthorizedError,
    SourceUnreachableError,
)
from maskwatch.secrets import SecretUrl

# A media description of SDP (RFC 8866, 5.14).
_MEDIA = re.compile(rb"^m=([a-z]{1,20}) ", re.MULTILINE)
_MAX_REDIRECTS = 5
_READ_BYTES = 262_144
_REFUSED_CODES = (401, 403)


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a camera and log in to it.

    Attributes:
        ca_file: certificates to trust; empty: the system's.
        redirect_hosts: HOST or HOST:PORT to which it may redirect, beside its own host.
    """

    url: SecretUrl
    auth: CameraAuth = CameraAuth.DIGEST
    tls_verify: bool = True
    ca_file: str = ""
    redirect_hosts: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return self.url.redacted


class CameraSession:
    """A connection to a camera whose stream has been described. To be made by `describe`.

    Attributes:
        options: the camera's answer to OPTIONS.
        description: its answer to DESCRIBE, with a Content-Base.
    """

    def __init__(self, access: Access, address: str, deadline: float) -> None:
        self._where = access.where
        self._access = access
        self._deadline = deadline
        self._sequence = 0
        self._login: Login | None = None
        self._proven = False  # whether a request with this login was accepted
        self._credentials = Credentials.of(access.url)
        self.address = address
        self.tls = address.lower().startswith("rtsps://")
        self.socket = self._connect()
        self.reader = MessageReader()
        self.options = Message("", [])
        self.description = Message("", [])

    # --- one request after the other ---------------------------------------------------------------

    def describe(self) -> None:
        """Ask for the stream's description, logging in if that is required. Raises SourceError."""
        self.options = self._ask(Message(f"OPTIONS {self.address} RTSP/1.0", []))
        request = Message(f"DESCRIBE {self.address} RTSP/1.0", [("Accept", "application/sdp")])
        self.description = self._ask(request)
        self._check(self.description)
        if not self.description.get("Content-Base"):
            base = self.description.get("Content-Location") or self.address
            self.description.set("Content-Base", base)

    def encode(self, request: Message) -> bytes:
        """Return a request as it is sent: with its number, and with the login once there is one."""
        self._sequence += 1
        request.set("CSeq", str(self._sequence))
        request.set("User-Agent", "maskwatch")
        if self._login is not None:
            request.set("Authorization", self._login.header(request.method, request.uri))
        return request.encode()

    def accept_challenge(self, reply: Message) -> None:
        """Take what a 401 demands, so that the request can be sent again.

        Raises:
            SourceUnauthorizedError: there are no credentials, or they are wrong.
            SourceLoginMethodError: the camera offers no method that may be used.
        """
        offered = challenges(reply.all("WWW-Authenticate"))
        stale = self._is_stale(offered)
        if self._credentials is None or (self._login is not None and not stale) or not offered:
            raise SourceUnauthorizedError(f"{self._where}: user name or password is wrong or missing")
        allowed = self.tls or self._access.auth is CameraAuth.ANY
        chosen = choose(offered, basic=allowed)
        if chosen is None:
            raise SourceLoginMethodError(f"{self._where}: {_no_method(offered)}")
        self._login, self._proven = Login(chosen, self._credentials), False

    def note_accepted(self) -> None:
        """Note that the camera accepted a request; it may still change its nonce."""
        self._proven = self._login is not None

    def _is_stale(self, offered: list[Challenge]) -> bool:
        """Return whether the nonce has expired. Some cameras change it without the word for that."""
        if any(each.fields.get("stale", "").lower() == "true" for each in offered):
            return True
        changed = self._login is not None and any(
            each.fields.get("nonce", "") != self._login.nonce for each in offered
        )
        return self._proven and changed

    def close(self) -> None:
        self.socket.close()

    def _ask(self, request: Message) -> Message:
        for _ in range(3):  # without a login, with one, with a newer nonce
            self._send(self.encode(request))
            reply = self._receive()
            if reply.status != 401:
                self.note_accepted()
                return reply
            self.accept_challenge(reply)
        raise SourceUnauthorizedError(f"{self._where}: user name or password is wrong or missing")

    def _check(self, reply: Message) -> None:
        if reply.status in _REFUSED_CODES:
            raise SourceUnauthorizedError(f"{self._where}: user name or password is wrong or missing")
        if reply.status == 404:
            raise SourceNotFoundError(f"{self._where}: there is no such stream or file; check the path")
        if not 200 <= reply.status < 400:
            raise SourceError(f"{self._where}: {_ANSWERED_WITH_ERROR}")

    # --- bytes -------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        try:
            self.socket.settimeout(self._left())
            self.socket.sendall(data)
        except (TimeoutError, OSError) as error:
            raise self._failure(error) from None

    def _receive(self) -> Message:
        """Return the next reply; what else arrives is skipped."""
        begun = time.monotonic()
        while True:
            try:
                found = self.reader.next()
                if isinstance(found, Message) and found.status:
                    return found
                if found is not None:
                    continue
                self.socket.settimeout(self._left())
                data = self.socket.recv(_READ_BYTES)
            except MessageError as error:
                raise SourceGarbageError(f"{self._where}: {error}") from None
            except TimeoutError:
                waited = time.monotonic() - begun
                text = f"{self._where}: connected, but no answer within {waited:.1f} s"
                raise SourceSilentError(text) from None
            except OSError as error:
                raise self._failure(error) from None
            if not data:
                text = f"{self._where}: the peer closed the connection without an answer"
                raise SourceGarbageError(text)
            self.reader.feed(data)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _connect(self) -> socket.socket:
        parts = urlsplit(self.address)
        host = unquote(parts.hostname or "")
        port = parts.port or RTSP_PORTS[parts.scheme.lower()]
        connected = None
        try:
            connected = socket.create_connection((host, port), self._left())
            if not self.tls:
                return connected
            return self._tls_context().wrap_socket(connected, server_hostname=host)
        except (OSError, ValueError) as error:
            if connected is not None:
                connected.close()
            raise self._failure(error) from None

    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = trusting(self._access.ca_file)
        except TlsFileError as fault:
            raise SourceUnreachableError(f"{self._where}: `ca_file`: {fault.message}") from fault
        if not self._access.tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _failure(self, error: Exception) -> SourceError:
        return _connect_error(error, self._where)


_ANSWERED_WITH_ERROR = (
    "the camera answered with an error; it may be overloaded, or not offer this transport"
)


def open_session(access: Access, timeout: float) -> CameraSession:
    """Connect to a camera and have its stream described, within `timeout` seconds.

    A redirect is followed to another port or path of the camera's host, and to `redirect_hosts`. Raises
    SourceError.
    """
    deadline = time.monotonic() + timeout
    address = _without_credentials(access.url.reveal())
    for number in range(_MAX_REDIRECTS + 1):
        session = _connected(access, address, deadline, redirected=number > 0)
        try:
            session.describe()
            if session.description.status < 300:
                _require_video(session.description, access.where)
                return session
            address = _redirected(access, address, session.description.get("Location"))
        except BaseException:
            session.close()
            raise
        session.close()
    raise SourceError(f"{access.where}: the camera redirects without end")


def _require_video(description: Message, where: str) -> None:
    """Raise SourceNoVideoError for a description of other media only.

    Of one without any media FFmpeg says what is wrong.
    """
    media = _MEDIA.findall(description.body)
    if media and b"video" not in media:
        found = b", ".join(sorted(set(media))).decode("ascii", "replace")
        raise SourceNoVideoError(f"{where}: the stream has no video track, but only: {found}")


def _connected(access: Access, address: str, deadline: float, *, redirected: bool) -> CameraSession:
    try:
        return CameraSession(access, address, deadline)
    except SourceRedirectedError:
        if redirected:
            raise
        text = f"{access.where}: the system does not permit this connection; check the firewall"
        raise SourceUnreachableError(text) from None


def _redirected(access: Access, address: str, location: str) -> str:
    """Return the address of a redirect. Raises SourceError if it may not be followed."""
    try:
        target = urlsplit(urljoin(address, location))
        host, port, scheme = target.hostname or "", target.port, target.scheme.lower()
    except ValueError:
        host, port, scheme = "", None, ""
    source = urlsplit(address)
    if scheme not in RTSP_PORTS or not host:
        raise SourceGarbageError(f"{access.where}: the camera redirects to an invalid address")
    port = port or RTSP_PORTS[scheme]
    place = f"{bracketed(host)}:{port}"
    if not _may_redirect(access, host, port):
        raise SourceError(
            f"{access.where}: redirected to another host, {place}; if that is right, make it the url "
            "or name it in `redirect_hosts`"
        )
    if source.scheme.lower() == "rtsps" and scheme != "rtsps":
        raise SourceError(f"{access.where}: redirected from rtsps to {place} without TLS: not followed")
    return _without_credentials(target.geturl())


def _may_redirect(access: Access, host: str, port: int) -> bool:
    own = urlsplit(access.url.reveal()).hostname or ""
    allowed = [(own, None), *map(redirect_host, access.redirect_hosts)]
    return any(each_port in (None, port) and _same_host(host, each) for each, each_port in allowed)


def _same_host(one: str, other: str) -> bool:
    if one.lower() == other.lower():
        return True
    try:
        addresses = [
            {found[4][0] for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
            for host in (one, other)
        ]
    except OSError:
        return False
    return bool(addresses[0] & addresses[1])


def _without_credentials(address: str) -> str:
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()


def _no_method(offered: list[Challenge]) -> str:
    names = ", ".join(dict.fromkeys(each.name for each in offered))[:80]
    if any(each.scheme == "basic" for each in offered):
        return (
            f"the camera offers only {names} without TLS, which shows the password to the network; "
            "enable Digest or rtsps in the camera, or set `auth: any` for it (probe: --allow-basic)"
        )
    return (
        f"the camera requires {names}; supported are Digest with MD5, SHA-256 or SHA-512-256, and Basic"
    )


def _connect_error(error: Exception, where: str) -> SourceError:
    """Return what it means that a connection could not be made, or that sending failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = (
            f"the certificate is not valid for this address ({error.verify_message}); install a valid "
            "one, name its authority by `ca_file`, or set `tls_verify: false`"
        )
        return SourceUnreachableError(f"{where}: {text}")
    for kind, outcome, text in _FAILURES:
        if isinstance(error, kind):
            return outcome(f"{where}: {text}")
    number = error.errno if isinstance(error, OSError) else None
    text = os.strerror(number) if number else "the address is invalid"
    return SourceUnreachableError(f"{where}: {text}; check address and network")


_FAILURES: tuple[tuple[type[Exception], type[SourceError], str], ...] = (
    (
        socket.gaierror,
        SourceUnreachableError,
        "the host name is unknown; check it and the name server",
    ),
    (ssl.SSLError, SourceUnreachableError, "no TLS connection; check address and port"),
    (
        TimeoutError,
        SourceUnreachableError,
        "the host does not answer; check address, network and firewall",
    ),
    (ConnectionRefusedError, SourceRefusedError, "connection refused; check address and port"),
    (
        PermissionError,
        SourceRedirectedError,
        "redirected to a port that is opened after a restart of the camera's process",
    ),
    (ConnectionError, SourceGarbageError, "the peer closed the connection without an answer"),
)
