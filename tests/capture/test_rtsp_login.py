"""How a camera is logged in to, and where a redirect leads: never the password in clear by default."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from maskwatch.capture import rtsp_auth, rtsp_client
from maskwatch.capture.container import StreamOptions
from maskwatch.capture.rtsp import RtspSource
from maskwatch.capture.rtsp_auth import Challenge, Credentials, Login, challenges, choose
from maskwatch.capture.rtsp_client import open_session
from maskwatch.capture.rtsp_message import Message
from maskwatch.capture.rtsp_relay import RtspRelay
from maskwatch.config.schema import CameraAuth, Transport
from maskwatch.errors import (
    SourceError,
    SourceGarbageError,
    SourceLoginMethodError,
    SourceNoVideoError,
    SourceSilentError,
    SourceUnauthorizedError,
    SourceUnreachableError,
)
from maskwatch.lab.rtsp import AuthScheme, RtspServer
from maskwatch.secrets import Secret, SecretUrl
from tests.fakes.certificates import self_signed
from tests.fakes.waiting import SLACK

ClipOf = Callable[..., Path]

USER, PASSWORD = "ann", 'CANARY-4711 "p@ss"'
_DIGESTS = [each for each in AuthScheme if each is not AuthScheme.BASIC]


def options(url: str, **changes: object) -> StreamOptions:
    chosen = {"open_timeout": 4.0 * SLACK, "stall_timeout": 2.0 * SLACK, **changes}
    return StreamOptions(SecretUrl(url), **chosen)  # type: ignore[arg-type] - test's own values


def plays(chosen: StreamOptions) -> bool:
    with RtspSource(chosen) as source:
        return next(iter(source)).size == (320, 240)


def failure(chosen: StreamOptions) -> SourceError:
    """Return why a camera cannot be read; the text must hold no secret."""
    with RtspSource(chosen) as source, pytest.raises(SourceError) as caught:
        next(iter(source))
    assert "CANARY" not in repr(caught.value)
    return caught.value


def serve(auth: AuthScheme, clip: Path, **more: object) -> RtspServer:
    server = RtspServer(users={USER: PASSWORD}, auth=auth, **more)  # type: ignore[arg-type] - test's own
    server.add("hall", clip)
    return server


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    return context


# -- methods -----------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize("auth", _DIGESTS)
def test_every_kind_of_digest_is_a_login(
    clip_of: ClipOf, auth: AuthScheme, transport: Transport
) -> None:
    with serve(auth, clip_of()) as server:
        assert plays(options(server.url("hall"), transport=transport))
        assert {text.partition(" ")[0] for text in server.authenticator.received} == {"Digest"}


def test_basic_without_tls_is_refused_and_no_password_is_sent(clip_of: ClipOf) -> None:
    with serve(AuthScheme.BASIC, clip_of()) as server:
        error = failure(options(server.url("hall")))
        assert type(error) is SourceLoginMethodError
        assert "offers only Basic" in str(error)
        assert "`auth: any`" in str(error)
        assert server.authenticator.received == []


def test_basic_without_tls_is_used_if_the_configuration_allows_it(clip_of: ClipOf) -> None:
    with serve(AuthScheme.BASIC, clip_of()) as server:
        assert plays(options(server.url("hall"), auth=CameraAuth.ANY))


def test_basic_is_used_over_tls(clip_of: ClipOf, tls: ssl.SSLContext) -> None:
    with serve(AuthScheme.BASIC, clip_of(), tls=tls) as server:
        assert plays(options(server.url("hall"), tls_verify=False))


def test_a_camera_that_changes_from_digest_to_basic_gets_no_password(clip_of: ClipOf) -> None:
    with serve(AuthScheme.DIGEST, clip_of()) as server:
        chosen = options(server.url("hall"))
        with RtspSource(chosen) as source:
            next(iter(source))
            server.authenticator.scheme = AuthScheme.BASIC  # TEARDOWN is challenged, too
        assert type(failure(chosen)) is SourceLoginMethodError
        assert not [text for text in server.authenticator.received if text.startswith("Basic")]


@pytest.mark.parametrize("realm", ['the "front" camera', "Eingang, Digest a=b", "Küche"])
def test_a_realm_may_hold_quotes_commas_and_any_letter(clip_of: ClipOf, realm: str) -> None:
    with serve(AuthScheme.DIGEST_OR_BASIC, clip_of()) as server:
        server.authenticator.realm = realm
        assert plays(options(server.url("hall")))


@pytest.mark.parametrize("auth", _DIGESTS)
def test_a_nonce_may_change_with_every_request(clip_of: ClipOf, auth: AuthScheme) -> None:
    with serve(auth, clip_of()) as server:
        server.authenticator.changes_nonce = True
        assert plays(options(server.url("hall")))


@pytest.mark.parametrize("auth", _DIGESTS)
def test_a_wrong_password_is_sent_once(clip_of: ClipOf, auth: AuthScheme) -> None:
    with serve(auth, clip_of()) as server:
        server.authenticator.changes_nonce = True
        wrong = options(server.url("hall", user=USER, password="wrong"))
        assert type(failure(wrong)) is SourceUnauthorizedError
        assert len(server.authenticator.received) == 1


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("u" * 512, "CANARY" * 100),
        ('a"b\\c', 'CANARY"\\,= '),
        ("ann", "CANARY%25:/?#[]@%zz"),
        ("Zoë", "CANARY-пароль"),
    ],
)
@pytest.mark.parametrize("auth", [AuthScheme.DIGEST, AuthScheme.DIGEST_SHA256, AuthScheme.BASIC])
def test_credentials_of_any_length_and_characters_work(
    clip_of: ClipOf, auth: AuthScheme, user: str, password: str
) -> None:
    with RtspServer(users={user: password}, auth=auth) as server:
        server.add("hall", clip_of())
        assert plays(options(server.url("hall"), auth=CameraAuth.ANY))


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digest_computes_the_example_of_rfc_7616(
    monkeypatch: pytest.MonkeyPatch, algorithm: str, response: str
) -> None:
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    monkeypatch.setattr(rtsp_auth.secrets, "token_hex", lambda _: cnonce)
    header = (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU"'
    )
    chosen = choose(challenges([header]), basic=False)
    assert chosen is not None
    login = Login(chosen, Credentials("Mufasa", Secret("Circle of Life")))
    assert f'response="{response}"' in login.header("GET", "/dir/index.html")


def test_an_unknown_algorithm_is_named() -> None:
    assert not Challenge("digest", {"algorithm": "SHA3-256"}).is_supported
    assert choose(challenges(['Digest realm="x", algorithm=SHA3-256']), basic=True) is None
    both = challenges(['Basic realm="a, digest b", Digest realm="x", nonce="y"'])
    assert [each.name for each in both][-1] == "Digest MD5"


# -- redirects and certificates ----------------------------------------------------------------


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
def test_a_redirect_to_another_port_of_the_host_is_followed(
    clip_of: ClipOf, transport: Transport
) -> None:
    with serve(AuthScheme.DIGEST, clip_of()) as door, serve(AuthScheme.DIGEST, clip_of()) as camera:
        door.faults("hall").redirect = f"rtsp://127.0.0.1:{camera.port}/hall"
        assert plays(options(door.url("hall"), transport=transport))


@pytest.mark.parametrize("location", ["/hall", "hall", "//127.0.0.1:PORT/hall", "?x=1"])
@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])
def test_a_relative_redirect_is_followed(
    clip_of: ClipOf, tls: ssl.SSLContext, scheme: str, location: str
) -> None:
    with serve(AuthScheme.DIGEST, clip_of(), tls=tls if scheme == "rtsps" else None) as server:
        server.add("door/old", clip_of()).redirect = location.replace("PORT", str(server.port))
        server.add("door/hall", clip_of())
        server.add("door/old?x=1", clip_of())
        assert plays(options(server.url("door/old"), tls_verify=False))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("rtsp://192.0.2.7:8554/hall", "another host, 192.0.2.7:8554; if that is right"),
        ("http://127.0.0.1/hall", "invalid address"),
        ("rtsp://[::1/hall", "invalid address"),
        ("rtsp://127.0.0.1:99999/", "invalid address"),
        ("", "redirects without end|invalid address|end"),
    ],
)
def test_a_redirect_elsewhere_is_refused_in_words(clip_of: ClipOf, target: str, words: str) -> None:
    with serve(AuthScheme.DIGEST, clip_of()) as door:
        door.faults("hall").redirect = target or door.url("hall", user=USER, password="x")
        assert re.search(words, str(failure(options(door.url("hall")))))


def test_a_redirect_to_a_host_that_is_named_is_followed_and_to_no_other(clip_of: ClipOf) -> None:
    clip = clip_of()
    with (
        serve(AuthScheme.DIGEST, clip) as door,
        serve(AuthScheme.DIGEST, clip, host="127.0.0.2") as camera,
    ):
        door.faults("hall").redirect = camera.url("hall")
        for hosts in (["127.0.0.2"], [f"127.0.0.2:{camera.port}"]):
            assert plays(options(door.url("hall"), redirect_hosts=tuple(hosts)))
        for hosts in ([], ["127.0.0.3"], [f"127.0.0.2:{door.port}"]):
            error = failure(options(door.url("hall"), redirect_hosts=tuple(hosts)))
            assert "name it in `redirect_hosts`" in str(error)


def test_a_redirect_out_of_tls_is_refused(clip_of: ClipOf, tls: ssl.SSLContext) -> None:
    with serve(AuthScheme.DIGEST, clip_of(), tls=tls) as door:
        door.faults("hall").redirect = "rtsp://127.0.0.1:554/hall"
        error = failure(options(door.url("hall"), tls_verify=False))
        assert "without TLS: not followed" in str(error)


def test_a_certificate_of_the_named_authority_is_accepted(clip_of: ClipOf, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serve(AuthScheme.DIGEST, clip_of(), tls=context) as server:
        assert plays(options(server.url("hall"), ca_file=str(certificate)))
        error = failure(options(server.url("hall")))
        assert type(error) is SourceUnreachableError
        assert "`ca_file`" in str(error)


# -- hostile peers -----------------------------------------------------------------------------


@pytest.fixture
def peer() -> Iterator[Callable[[Callable[[socket.socket], object]], str]]:
    """Serve each connection by a function; return the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def start(serve: Callable[[socket.socket], object]) -> str:
            def run() -> None:
                client, _ = listener.accept()
                with client:
                    client.recv(65536)
                    with contextlib.suppress(OSError):  # the client ends it
                        serve(client)

            threading.Thread(target=run, daemon=True).start()
            return f"rtsp://{USER}:x@127.0.0.1:{listener.getsockname()[1]}/hall"

        yield start


def _endless_headers(client: socket.socket) -> None:
    client.sendall(b"RTSP/1.0 200 OK\r\n")
    while True:
        client.sendall(b"X-Header: " + b"y" * 1000 + b"\r\n")


def _endless_line(client: socket.socket) -> None:
    while True:
        client.sendall(b"R" * 1000)


def _huge_description(client: socket.socket) -> None:
    client.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 99999999\r\n\r\n")
    time.sleep(5)


def _dripped_bytes(client: socket.socket) -> None:
    for byte in b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * 1000:
        client.sendall(bytes([byte]))
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("serve", "kind", "words"),
    [
        (_endless_headers, SourceGarbageError, "bytes of headers"),
        (_endless_line, SourceGarbageError, "bytes of headers|does not speak RTSP"),
        (_huge_description, SourceGarbageError, "more than 65536 bytes"),
        (_dripped_bytes, SourceSilentError, "no answer within"),
    ],
)
def test_a_peer_that_sends_without_end_is_given_up(
    peer: Callable[[Callable[[socket.socket], object]], str],
    serve: Callable[[socket.socket], object],
    kind: type[SourceError],
    words: str,
) -> None:
    begun = time.monotonic()
    error = failure(options(peer(serve), open_timeout=2.0))
    assert type(error) is kind
    assert re.search(words, str(error))
    assert time.monotonic() - begun < 10


def test_only_who_knows_the_address_is_served_by_the_relay(clip_of: ClipOf) -> None:
    with serve(AuthScheme.DIGEST, clip_of()) as server:
        chosen = options(server.url("hall"))
        relay = RtspRelay(open_session(chosen.access, 4), None, chosen.where)
        try:
            parts = urlsplit(relay.url)
            assert PASSWORD not in relay.url
            with socket.create_connection((parts.hostname or "", parts.port or 0), 5) as stranger:
                stranger.sendall(b"DESCRIBE rtsp://127.0.0.1/x RTSP/1.0\r\nCSeq: 1\r\n\r\n")
                assert stranger.recv(100) == b""
            with socket.create_connection((parts.hostname or "", parts.port or 0), 5) as client:
                client.sendall(f"DESCRIBE {relay.url} RTSP/1.0\r\nCSeq: 7\r\n\r\n".encode())
                assert client.recv(100).startswith(b"RTSP/1.0 200 OK")
        finally:
            relay.close()


@pytest.mark.parametrize("other", [b"m=audio 0 RTP/AVP 0\r\n", b"m=application 0 RTP/AVP 107\r\n"])
def test_a_description_of_other_media_only_has_no_video_track(other: bytes) -> None:
    """It is known before FFmpeg connects, so no closed connection can hide it."""
    head = b"v=0\r\ns=x\r\n"
    with pytest.raises(SourceNoVideoError, match="no video track, but only: a"):
        rtsp_client._require_video(Message("RTSP/1.0 200 OK", [], head + other), "door")
    for body in (head, b"", head + other + b"m=video 0 RTP/AVP 96\r\n"):
        rtsp_client._require_video(Message("RTSP/1.0 200 OK", [], body), "door")
