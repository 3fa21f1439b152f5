"""The notification sink: rendering, digests, pauses, and outcomes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest

from maskwatch.alerts.factory import make_sinks
from maskwatch.alerts.notify.ack_links import AckTokenSigner
from maskwatch.alerts.notify.messages import Notification
from maskwatch.alerts.notify.sink import NotificationSink
from maskwatch.alerts.notify.transports import (
    WebhookTransport,
    make_transport,
)
from maskwatch.alerts.sink import Delivery, DeliveryStatus
from maskwatch.clock import ManualClock
from maskwatch.config.schema import CameraConfig, ChannelConfig, Config, LinksConfig, MqttConfig
from maskwatch.domain import BlindReason, Change, Incident, IncidentKind
from maskwatch.secrets import Secret, SecretUrl
from tests.fakes import samples
from tests.fakes.recorder_side import NOON, FakeRecorder
from tests.fakes.samples import JPEG, incident, violation_id
from tests.fakes.waiting import wait_until
from tests.fakes.web_peer import WebPeer

PASSWORD = "canary-token-42"
change = partial(samples.change, started=NOON)

# Apprise imports it on every Python that still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class RecordingTransport:
    """Records notifications; returns `statuses` in turn, then ACCEPTED."""

    def __init__(self) -> None:
        self.sent: list[Notification] = []
        self.statuses: list[DeliveryStatus] = []
        self._lock = threading.Lock()

    def send(self, notification: Notification) -> tuple[DeliveryStatus, str]:
        with self._lock:
            self.sent.append(notification)
            return (self.statuses.pop(0) if self.statuses else DeliveryStatus.ACCEPTED), "as configured"


class SinkFixture:
    """A sink with its transport, recorder and clock."""

    def __init__(self, **keys: object) -> None:
        self.channel = ChannelConfig(name="guards", url=Secret("json://x"), **keys)
        self.transport, self.recorder, self.clock = (
            RecordingTransport(),
            FakeRecorder(),
            ManualClock(NOON),
        )
        self.sink = NotificationSink(
            config(self.channel), self.channel, transport=self.transport, clock=self.clock
        )

    def start(self) -> None:
        self.sink.start(*self.recorder.callbacks)

    def deliver(self, subject: Change | Incident) -> DeliveryStatus:
        """Deliver a change and return the status of its outcome."""
        return self.recorder.status(self.recorder.send(self.sink, subject))

    def titles(self) -> list[str]:
        return [notification.title for notification in self.transport.sent]


MakeFixture = Callable[..., SinkFixture]


@pytest.fixture
def make_fixture() -> Iterator[MakeFixture]:
    made: list[SinkFixture] = []

    def make(**keys: object) -> SinkFixture:
        made.append(SinkFixture(**keys))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.sink.stop(5)


def config(*channels: ChannelConfig) -> Config:
    camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
    return Config(node="gate", cameras=(camera,), mqtt=MqttConfig(enabled=False), people=channels)


def test_an_alert_is_rendered_with_its_picture(make_fixture: MakeFixture, tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(JPEG)
    fixture = make_fixture(time_zone="Europe/Berlin")
    delivery = fixture.recorder.send(fixture.sink, change(1), picture=picture)
    assert fixture.recorder.status(delivery) is DeliveryStatus.ACCEPTED
    (notification,) = fixture.transport.sent
    assert notification.title == "person without mask: door"
    assert notification.body.startswith(
        "2026-03-01 13:00:00 CET: person without mask at door hall (019d"
    )
    assert notification.picture == picture
    assert json.loads(notification.alerts[0])["alert_id"] == change(1).alert_id


def test_configured_title_and_body_are_filled(make_fixture: MakeFixture) -> None:
    fixture = make_fixture(title="{node}/{camera}: {what}", body="{reason}{zone}")
    fixture.deliver(incident(1))
    assert fixture.transport.sent[0].title == "gate/door: camera offline"
    assert fixture.transport.sent[0].body == "no route"


def test_the_reason_of_a_blind_camera_is_rendered_as_text(
    make_fixture: MakeFixture,
) -> None:
    fixture = make_fixture(body="{what}: {reason}")
    blurred = replace(incident(1), kind=IncidentKind.CAMERA_BLIND, reason=BlindReason.OUT_OF_FOCUS.value)
    fixture.deliver(blurred)
    assert fixture.transport.sent[0].body == "camera blind: out of focus"


def test_a_burst_is_sent_singly_and_the_rest_as_one_digest(
    make_fixture: MakeFixture,
) -> None:
    fixture = make_fixture(burst=2, digest=60)
    for index in (1, 2):
        fixture.deliver(change(index))
    assert fixture.titles() == ["person without mask: door"] * 2
    assert not fixture.sink.ready, "the outbox must keep what comes now"
    fixture.clock.advance(61)
    assert fixture.sink.ready
    deliveries = [fixture.recorder.send(fixture.sink, change(index)) for index in range(3, 30)]
    assert {fixture.recorder.status(delivery) for delivery in deliveries} == {DeliveryStatus.ACCEPTED}
    assert fixture.titles()[2:] == ["27 alerts of gate"]
    body = fixture.transport.sent[-1].body
    assert body.startswith("27 x person without mask: door\n")
    assert body.endswith("... and 7 more")
    assert len(fixture.transport.sent[-1].alerts) == 27


LINKS = LinksConfig(
    enabled=True, key=Secret("a key for tests of thirty-two chars"), address="https://watch.example"
)


def with_links(**keys: object) -> SinkFixture:
    """Start a sink whose notifications hold links to acknowledge."""
    fixture = SinkFixture(**keys)
    settings = msgspec.structs.replace(config(fixture.channel), links=LINKS)
    fixture.sink = NotificationSink(
        settings, fixture.channel, transport=fixture.transport, clock=fixture.clock
    )
    fixture.start()
    return fixture


def test_a_notification_has_a_link_to_acknowledge_if_links_are_on() -> None:
    fixture = with_links()
    fixture.deliver(change(1))
    fixture.deliver(incident(1))
    fixture.sink.stop(5)
    of_violation, of_incident = fixture.transport.sent
    signer = AckTokenSigner(LINKS.key, "gate", LINKS.address, LINKS.valid_for)
    link = signer.url(violation_id(1), "guards", NOON)
    assert of_violation.body.endswith(f") {link}")
    assert of_violation.links == {str(violation_id(1)): link}
    assert "acknowledge" not in of_incident.body
    assert of_incident.links == {}


def test_a_digest_has_a_link_for_every_violation() -> None:
    fixture = with_links(burst=1)
    for delivery in [fixture.recorder.send(fixture.sink, change(index)) for index in range(1, 4)]:
        fixture.recorder.status(delivery)
    fixture.sink.stop(5)
    (notification,) = fixture.transport.sent
    assert notification.body.count("https://watch.example/acknowledge/") == 3
    assert set(notification.links) == {str(violation_id(index)) for index in range(1, 4)}


def test_only_the_refused_alert_of_a_digest_is_refused(make_fixture: MakeFixture) -> None:
    fixture = make_fixture(burst=1)
    bad = change(6).alert_id.encode()
    accept = fixture.transport.send

    def refuse_bad(notification: Notification) -> tuple[DeliveryStatus, str]:
        refused = any(bad in each for each in notification.alerts)
        return (DeliveryStatus.REFUSED, "as configured") if refused else accept(notification)

    fixture.transport.send = refuse_bad
    sent = [fixture.recorder.send(fixture.sink, change(index)) for index in range(10)]
    statuses = [fixture.recorder.status(delivery) for delivery in sent]
    assert [index for index, status in enumerate(statuses) if status is not DeliveryStatus.ACCEPTED] == [
        6
    ]
    assert statuses[6] is DeliveryStatus.REFUSED
    assert sum(len(notification.alerts) for notification in fixture.transport.sent) == 9
    assert len(fixture.transport.sent) <= 4


def test_nothing_is_sent_in_quiet_hours(make_fixture: MakeFixture) -> None:
    fixture = make_fixture(quiet_start="22:00", quiet_end="06:00")
    assert fixture.sink.ready
    fixture.clock.advance(11 * 3600)  # 23:00
    assert not fixture.sink.ready
    fixture.clock.advance(8 * 3600)  # 07:00
    assert fixture.sink.ready


def test_an_alert_that_is_filtered_out_is_skipped(make_fixture: MakeFixture) -> None:
    fixture = make_fixture(cameras=("yard",))
    assert fixture.deliver(change(1)) is DeliveryStatus.SKIPPED
    assert fixture.transport.sent == []


@pytest.mark.parametrize("status", [DeliveryStatus.FAILED, DeliveryStatus.REFUSED])
def test_the_status_of_the_transport_is_that_of_the_delivery(
    make_fixture: MakeFixture, status: DeliveryStatus
) -> None:
    fixture = make_fixture()
    fixture.transport.statuses = [status]
    assert fixture.deliver(change(1)) is status


def test_deliveries_not_sent_before_the_stop_have_failed(
    make_fixture: MakeFixture,
) -> None:
    fixture = make_fixture()
    fixture.sink.stop(5)
    delivery = Delivery(7, change(1), stored=True, picture=None)
    assert not fixture.sink.ready
    fixture.sink.send(delivery)
    fixture.start()
    wait_until(lambda: [o.delivery for o in fixture.recorder.outcomes] == [7])


@pytest.mark.parametrize(
    ("unacknowledged_for", "status"), [(600, DeliveryStatus.SKIPPED), (0, DeliveryStatus.ACCEPTED)]
)
def test_an_acknowledged_violation_is_skipped_by_a_channel_that_waits_for_it(
    make_fixture: MakeFixture, unacknowledged_for: float, status: DeliveryStatus
) -> None:
    fixture = make_fixture(unacknowledged_for=unacknowledged_for)
    delivery = fixture.recorder.send(fixture.sink, change(1), acknowledged=True)
    assert fixture.recorder.status(delivery) is status


def test_each_channel_with_an_address_is_a_sink(peer: WebPeer) -> None:
    mail = ChannelConfig(name="mail", url=Secret(f"json://127.0.0.1:{peer.port}"))
    hook = ChannelConfig(name="hook", webhook=SecretUrl("http://127.0.0.1:1"), key=Secret("k"))
    off = ChannelConfig(name="off")
    sinks = make_sinks(config(mail, hook, off))
    assert [sink.name for sink in sinks] == ["people-mail", "people-hook"]
    assert isinstance(make_transport(hook), WebhookTransport)


def test_a_webhook_gets_the_opening_and_the_end_of_a_violation(peer: WebPeer) -> None:
    channel = ChannelConfig(
        name="hook", webhook=SecretUrl(f"http://127.0.0.1:{peer.port}"), key=Secret("k"), ended=True
    )
    sink, recorder = NotificationSink(config(channel), channel), FakeRecorder()
    sink.start(*recorder.callbacks)
    for subject in (change(1), change(1, 2, closed=True)):
        assert recorder.status(recorder.send(sink, subject)) is DeliveryStatus.ACCEPTED
    sink.stop(5)
    changes = [msgspec.json.decode(r.body)["alerts"][0]["change"] for r in peer.requests]
    assert changes == ["opened", "closed"]
