"""Whatever the peer of a channel does, a notification ends within its deadline and its memory."""

from __future__ import annotations

import contextlib
import itertools
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from maskwatch.alerts.notify.isolated import IsolatedTransport
from maskwatch.alerts.notify.messages import Notification
from maskwatch.alerts.sink import DeliveryStatus
from maskwatch.config.schema import ChannelConfig
from maskwatch.errors import ConfigError
from maskwatch.secrets import Secret, SecretUrl
from tests.fakes.mail_server import MailServer
from tests.fakes.waiting import SLACK
from tests.fakes.web_peer import Request, WebPeer

PASSWORD = "canary-token-42"
SENT = Notification("title", "first\nsecond", None, (b"{}",))
SECONDS = 10.0

# Apprise imports it on every Python that still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def drip(beginning: bytes, repeated: bytes) -> Callable[[], Iterable[bytes]]:
    """Return an answer that goes on for ever, by `repeated` every 50 ms."""

    def answer() -> Iterator[bytes]:
        yield beginning
        while True:
            time.sleep(0.05)
            yield repeated

    return answer


def flood(beginning: bytes) -> Callable[[], Iterable[bytes]]:
    return lambda: itertools.chain([beginning], itertools.repeat(b"x" * 65536))


HTTP: dict[str, Callable[[], Iterable[bytes]]] = {
    "status line": drip(b"HTTP/1.1 2", b"0"),
    "headers": drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "body": drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@contextlib.contextmanager
def peer_that_sends(answer: Callable[[], Iterable[bytes]]) -> Iterator[int]:
    """Serve on a port of this machine: each client is sent `answer`, after its first bytes if HTTP."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                for data in answer():
                    self.request.sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def webhook(port: int, deadline: float = SECONDS) -> IsolatedTransport:
    address = SecretUrl(f"http://127.0.0.1:{port}/hook")
    return IsolatedTransport(ChannelConfig(name="a", webhook=address, key=Secret("k")), deadline)


def apprise(url: str, deadline: float = SECONDS) -> IsolatedTransport:
    return IsolatedTransport(ChannelConfig(name="a", url=Secret(url)), deadline)


def outcome(transport: IsolatedTransport) -> tuple[DeliveryStatus, str]:
    """Return how a notification ends, which must be soon after the deadline."""
    began = time.monotonic()
    result = transport.send(SENT)
    assert time.monotonic() - began < SECONDS + 5 * SLACK
    return result


@pytest.mark.parametrize("kind", ["status line", "headers", "continue"])
def test_a_webhook_that_drips_its_answer_ends_at_the_deadline(kind: str) -> None:
    with peer_that_sends(HTTP[kind]) as port:
        assert outcome(webhook(port, 2)) == (DeliveryStatus.FAILED, "not finished within 2 s")


def redirect(_: Request) -> int:
    return 307


def redirect_slowly(_: Request) -> int:
    time.sleep(1)
    return 307


def test_a_service_that_redirects_without_end_fails(peer: WebPeer) -> None:
    peer.judge = redirect
    assert outcome(apprise(f"json://127.0.0.1:{peer.port}/"))[0] is DeliveryStatus.FAILED
    assert len(peer.requests) > 1


@pytest.mark.long
def test_a_service_whose_answer_never_ends_fails_at_the_deadline(peer: WebPeer) -> None:
    """It drips a part of it, or redirects; all are tried at the same time."""
    peer.judge = redirect_slowly
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(peer_that_sends(answer)) for answer in HTTP.values()]
        mail = stack.enter_context(peer_that_sends(drip(b"220-", b"x")))
        urls = [f"json://127.0.0.1:{port}/" for port in (*ports, peer.port)]
        urls.append(f"mailto://127.0.0.1:{mail}?from=a@b.example&to=c@d.example&mode=insecure")
        pool = stack.enter_context(ThreadPoolExecutor(len(urls)))
        results = list(pool.map(lambda url: outcome(apprise(url)), urls))
    assert set(results) == {(DeliveryStatus.FAILED, f"not finished within {SECONDS:g} s")}


@pytest.mark.long
def test_an_answer_without_end_fails_within_the_memory_of_its_process() -> None:
    with peer_that_sends(flood(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        assert outcome(apprise(f"json://127.0.0.1:{port}/", 60))[0] is DeliveryStatus.FAILED


def test_a_webhook_s_body_without_end_is_not_read() -> None:
    with peer_that_sends(flood(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        assert outcome(webhook(port, 30))[0] is DeliveryStatus.ACCEPTED


@pytest.mark.parametrize(
    ("beginning", "repeated", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000, DeliveryStatus.FAILED),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n" * 1000,
            DeliveryStatus.ACCEPTED,
        ),
    ],
    ids=["headers", "chunks"],
)
def test_a_webhook_s_headers_or_chunks_without_end_are_not_read(
    beginning: bytes, repeated: bytes, status: DeliveryStatus
) -> None:
    with peer_that_sends(lambda: itertools.chain([beginning], itertools.repeat(repeated))) as port:
        assert outcome(webhook(port, 30))[0] is status


def test_a_service_that_answers_nested_json_is_a_failure_in_words() -> None:
    body = b"[" * 30_000
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body)
    with peer_that_sends(lambda: [head + body]) as port:
        status, detail = outcome(apprise(f"ntfy://127.0.0.1:{port}/topic"))
    assert status is DeliveryStatus.FAILED
    assert "Traceback" not in detail


def test_a_webhook_receives_what_it_would_in_this_process(peer: WebPeer) -> None:
    assert webhook(peer.port, 30 * SLACK).send(SENT) == (DeliveryStatus.ACCEPTED, "answered 200")
    (request,) = peer.requests
    assert b'"text":"first\\nsecond"' in request.body


def test_a_mail_arrives() -> None:
    server = MailServer()
    url = f"mailto://127.0.0.1:{server.port}?from=a@b.example&to=c@d.example&mode=insecure"
    assert apprise(url, 60 * SLACK).send(SENT)[0] is DeliveryStatus.ACCEPTED
    assert server.mails[0]["Subject"] == "title"
    server.close()


def test_an_unreachable_peer_fails_without_showing_secrets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = SecretUrl(f"http://127.0.0.1:{port}/{PASSWORD}")
    channel = ChannelConfig(name="a", webhook=address, key=Secret(PASSWORD))
    status, detail = IsolatedTransport(channel, 30 * SLACK).send(SENT)
    assert status is DeliveryStatus.FAILED
    assert "cannot be reached" in detail
    assert PASSWORD not in detail


def test_a_channel_that_apprise_does_not_understand_is_refused_before_it_sends() -> None:
    with pytest.raises(ConfigError, match="Apprise does not understand"):
        apprise(f"nonsense://{PASSWORD}")
