"""Apprise and webhooks: what is sent, how answers are read, and that no secret is shown."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import pytest

from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.topics import Topics
from maskwatch.alerts.notify.messages import Notification, NotificationRenderer
from maskwatch.alerts.notify.transports import (
    AppriseTransport,
    WebhookTransport,
    signature,
)
from maskwatch.alerts.sink import Delivery, DeliveryStatus
from maskwatch.clock import ManualClock
from maskwatch.config.schema import ChannelConfig
from maskwatch.errors import ConfigError
from maskwatch.secrets import Secret, SecretUrl
from tests.fakes import samples
from tests.fakes.mail_server import MailServer
from tests.fakes.recorder_side import NOON
from tests.fakes.samples import JPEG
from tests.fakes.web_peer import WebPeer

PASSWORD = "canary-token-42"
change = partial(samples.change, started=NOON)

# Apprise imports it on every Python that still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def notification(picture: Path | None = None) -> Notification:
    builder = MessageBuilder(Topics("maskwatch", "gate"), "gate")
    renderer = NotificationRenderer(ChannelConfig(name="a"), builder, ManualClock(NOON))
    return renderer.single(Delivery(1, change(1), stored=True, picture=picture))


def webhook(port: int, path: str = "/hook") -> WebhookTransport:
    return WebhookTransport(SecretUrl(f"http://127.0.0.1:{port}{path}"), Secret("signing-key"))


def test_a_webhook_request_is_signed(peer: WebPeer) -> None:
    assert webhook(peer.port).send(notification()) == (DeliveryStatus.ACCEPTED, "answered 200")
    (request,) = peer.requests
    body = json.loads(request.body)
    assert body["alerts"][0]["alert_id"] == change(1).alert_id
    assert body["title"] == "person without mask: door"
    assert body["acknowledge"] == {}
    header = request.headers["X-Maskwatch-Signature"]
    match = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", header)
    assert match is not None
    expected = hmac.new(b"signing-key", match[1].encode() + b"." + request.body, hashlib.sha256)
    assert match[2] == expected.hexdigest()
    assert abs(time.time() - int(match[1])) < 60


def test_the_documented_check_accepts_only_genuine_requests(peer: WebPeer, root: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (root / "docs/alerts.md").read_text(), re.DOTALL)
    namespace: dict[str, Callable[[str, bytes, bytes], bool]] = {}
    exec(code, namespace)
    is_genuine = namespace["is_genuine"]
    webhook(peer.port).send(notification())
    (request,) = peer.requests
    header = request.headers["X-Maskwatch-Signature"]
    assert is_genuine(header, request.body, b"signing-key")
    assert not is_genuine(header, request.body + b" ", b"signing-key")
    assert not is_genuine(header, request.body, b"another-key")
    old = signature(Secret("signing-key"), int(time.time()) - 600, request.body)
    assert not is_genuine(old, request.body, b"signing-key")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (204, DeliveryStatus.ACCEPTED),
        (302, DeliveryStatus.FAILED),
        (503, DeliveryStatus.FAILED),
    ],
)
def test_the_http_status_decides_and_no_redirect_is_followed(
    peer: WebPeer, answer: int, status: DeliveryStatus
) -> None:
    peer.answers = [answer]
    assert webhook(peer.port).send(notification())[0] is status
    assert len(peer.requests) == 1


def test_only_an_answer_about_the_content_is_a_refusal_of_the_alert(peer: WebPeer) -> None:
    peer.answers = list(range(400, 452))
    transport = webhook(peer.port)
    refused = set()
    for code in list(peer.answers):
        if transport.send(notification())[0] is DeliveryStatus.REFUSED:
            refused.add(code)
    assert refused == {400, 409, 422}


def test_a_digest_that_is_too_large_is_refused_so_that_it_is_sent_in_parts(peer: WebPeer) -> None:
    peer.judge = lambda request: 413 if len(request.body) > 2000 else 200
    alert = notification()
    digest = replace(alert, alerts=alert.alerts * 4)
    assert webhook(peer.port).send(digest) == (DeliveryStatus.REFUSED, "answered 413")
    assert webhook(peer.port).send(alert)[0] is DeliveryStatus.ACCEPTED


def test_an_unreachable_webhook_fails_without_showing_secrets() -> None:
    transport = WebhookTransport(SecretUrl(f"http://u:{PASSWORD}@127.0.0.1:1/{PASSWORD}"), Secret("k"))
    status, detail = transport.send(notification())
    assert status is DeliveryStatus.FAILED
    assert PASSWORD not in detail


def test_apprise_sends_text_and_picture(peer: WebPeer, tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(JPEG)
    transport = AppriseTransport("guards", Secret(f"json://127.0.0.1:{peer.port}/hook"))
    assert transport.send(notification(picture))[0] is DeliveryStatus.ACCEPTED
    body = json.loads(peer.requests[0].body)
    assert body["title"] == "person without mask: door"
    assert base64.b64decode(body["attachments"][0]["base64"]) == JPEG


def test_a_failing_service_gives_its_reason_without_secrets(
    peer: WebPeer, caplog: pytest.LogCaptureFixture
) -> None:
    peer.answers = [500]
    url = f"json://user:{PASSWORD}@127.0.0.1:{peer.port}/hook"
    status, detail = AppriseTransport("guards", Secret(url)).send(notification())
    assert status is DeliveryStatus.FAILED
    assert "500" in detail
    assert PASSWORD not in detail + caplog.text


def test_a_url_unknown_to_apprise_is_an_error_without_the_url() -> None:
    with pytest.raises(ConfigError, match="people: guards: Apprise does not understand") as error:
        AppriseTransport("guards", Secret(f"nonsense://{PASSWORD}"))
    assert PASSWORD not in str(error.value)


def test_an_exception_inside_apprise_is_a_failed_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = AppriseTransport("guards", Secret("json://127.0.0.1:1"))

    def notify(**_: object) -> bool:
        raise RuntimeError(PASSWORD)

    monkeypatch.setattr(transport._client, "notify", notify)
    assert transport.send(notification()) == (DeliveryStatus.FAILED, "Apprise failed: RuntimeError")


# --- mail ----------------------------------------------------------------------------------------

LINES = "first <line>\nsecond line\n\nhttps://watch.example/acknowledge?a=1&b=2"


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()


def mail_url(server: MailServer, more: str = "") -> Secret:
    return Secret(
        f"mailto://127.0.0.1:{server.port}?from=a@b.example&to=c@d.example&mode=insecure{more}"
    )


def parts(mail: EmailMessage) -> dict[str, str]:
    """Return the text of each part that is a text, by its type."""
    texts = (part for part in mail.walk() if part.get_content_maintype() == "text")
    return {text.get_content_type(): text.get_content().replace("\r\n", "\n") for text in texts}


def test_a_mail_has_its_lines_as_plain_text_and_as_html(mail_server: MailServer) -> None:
    sent = Notification("person without mask: <door>", LINES, None, ())
    assert AppriseTransport("a", mail_url(mail_server)).send(sent)[0] is DeliveryStatus.ACCEPTED
    (mail,) = mail_server.mails
    assert mail["Subject"] == "person without mask: <door>"
    found = parts(mail)
    assert found["text/plain"].strip() == LINES
    html = found["text/html"].replace("&nbsp;", " ")
    assert html.startswith("first &lt;line&gt;<br/>second line<br/><br/>https://watch.example/")
    assert "a=1&amp;b=2" in html


def test_a_channel_that_asks_for_plain_text_gets_it_alone(mail_server: MailServer) -> None:
    sent = Notification("title", LINES, None, ())
    AppriseTransport("a", mail_url(mail_server, "&format=text")).send(sent)
    found = parts(mail_server.mails[0])
    assert list(found) == ["text/plain"]
    assert found["text/plain"].strip() == LINES


@pytest.mark.parametrize(
    "hidden", ["\u2028", "\u2029", "\n", "\r\n", "\x85", "\x0b", "\u202e", "\ufeff"]
)
def test_a_hidden_character_in_a_name_of_an_older_release_is_not_mailed(
    mail_server: MailServer, hidden: str
) -> None:
    camera = f"front{hidden}Bcc: x@y.example"
    stored = replace(change(1), violation=replace(change(1).violation, camera=camera))
    builder = MessageBuilder(Topics("maskwatch", "gate"), "gate")
    renderer = NotificationRenderer(ChannelConfig(name="a"), builder, ManualClock(NOON))
    delivery = Delivery(1, stored, stored=True, picture=None)
    for sent in (renderer.single(delivery), renderer.digest([delivery] * 2)):
        assert AppriseTransport("a", mail_url(mail_server)).send(sent)[0] is DeliveryStatus.ACCEPTED
    for mail in mail_server.mails:
        assert mail["Bcc"] is None
        assert hidden.strip("\r\n") not in mail["Subject"] or not hidden.strip("\r\n")
        assert "Bcc: x@y.example" in parts(mail)["text/plain"].splitlines()[0]
