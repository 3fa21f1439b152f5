"""Telling people: routes, gathering, quiet hours, what nobody acknowledged, and both carriers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from maskwatch.alerts.factory import make_sinks
from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.topics import Topics
from maskwatch.alerts.notify.ack_links import AckTokenSigner
from maskwatch.alerts.notify.messages import Notification, NotificationRenderer
from maskwatch.alerts.notify.sink import NotificationSink, is_quiet, wants
from maskwatch.alerts.notify.transports import (
    AppriseTransport,
    WebhookTransport,
    make_transport,
    signature,
)
from maskwatch.alerts.sink import Delivery, DeliveryStatus
from maskwatch.clock import ManualClock
from maskwatch.config.load import load
from maskwatch.config.schema import CameraConfig, ChannelConfig, Config, LinksConfig, MqttConfig
from maskwatch.domain import BlindReason, IncidentKind
from maskwatch.errors import ConfigError
from maskwatch.secrets import Secret, SecretUrl
from tests.fakes import samples
from tests.fakes.recorder_side import NOON, FakeRecorder, eventually
from tests.fakes.samples import JPEG, incident, violation_id
from tests.fakes.web_peer import WebPeer

PASSWORD = "canary-token-42"
change = partial(samples.change, started=NOON)

# Apprise imports it on every Python that still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Carried:
    """A carrier that remembers letters and ends them as told."""

    def __init__(self) -> None:
        self.letters: list[Notification] = []
        self.fates: list[DeliveryStatus] = []
        self._lock = threading.Lock()

    def carry(self, letter: Notification) -> tuple[DeliveryStatus, str]:
        with self._lock:
            self.letters.append(letter)
            return (self.fates.pop(0) if self.fates else DeliveryStatus.ACCEPTED), "as told"


class Office:
    """A sink with its carrier, recorder and clock."""

    def __init__(self, **keys: object) -> None:
        self.channel = ChannelConfig(name="guards", url=Secret("json://x"), **keys)
        self.carrier, self.recorder, self.clock = Carried(), FakeRecorder(), ManualClock(NOON)
        self.sink = NotificationSink(
            config(self.channel), self.channel, carrier=self.carrier, clock=self.clock
        )

    def start(self) -> None:
        self.sink.start(self.recorder.report, self.recorder.standing, self.recorder.command)

    def titles(self) -> list[str]:
        return [letter.title for letter in self.carrier.letters]


@pytest.fixture
def office() -> Iterator[Callable[..., Office]]:
    made: list[Office] = []

    def make(**keys: object) -> Office:
        made.append(Office(**keys))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.sink.stop(5)


def config(*channels: ChannelConfig) -> Config:
    camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
    return Config(node="gate", cameras=(camera,), mqtt=MqttConfig(enabled=False), people=channels)


# --- what is told ---------------------------------------------------------------------------------


def test_an_alert_is_told_in_words_with_its_picture(
    office: Callable[..., Office], tmp_path: Path
) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(JPEG)
    one = office(time_zone="Europe/Berlin")
    delivery = one.recorder.send(one.sink, change(1), picture=picture)
    assert one.recorder.status(delivery) is DeliveryStatus.ACCEPTED
    (letter,) = one.carrier.letters
    assert letter.title == "person without mask: door"
    assert letter.body.startswith("2026-03-01 13:00:00 CET: person without mask at door hall (019d")
    assert letter.picture == picture
    assert json.loads(letter.alerts[0])["alert_id"] == change(1).alert_id


def test_texts_of_ones_own_are_filled(office: Callable[..., Office]) -> None:
    one = office(title="{node}/{camera}: {what}", body="{reason}{zone}")
    one.recorder.status(one.recorder.send(one.sink, incident(1)))
    assert one.carrier.letters[0].title == "gate/door: camera offline"
    assert one.carrier.letters[0].body == "no route"


def test_why_a_camera_is_blind_is_told_in_words(office: Callable[..., Office]) -> None:
    one = office(body="{what}: {reason}")
    blurred = replace(incident(1), kind=IncidentKind.CAMERA_BLIND, reason=BlindReason.OUT_OF_FOCUS.value)
    one.recorder.status(one.recorder.send(one.sink, blurred))
    assert one.carrier.letters[0].body == "camera blind: out of focus"


def test_a_burst_is_told_one_by_one_and_the_rest_in_one_letter(
    office: Callable[..., Office],
) -> None:
    one = office(burst=2, digest=60)
    for index in (1, 2):
        one.recorder.status(one.recorder.send(one.sink, change(index)))
    assert one.titles() == ["person without mask: door"] * 2
    assert not one.sink.ready, "the outbox must keep what comes now"
    one.clock.advance(61)
    assert one.sink.ready
    deliveries = [one.recorder.send(one.sink, change(index)) for index in range(3, 30)]
    assert {one.recorder.status(delivery) for delivery in deliveries} == {DeliveryStatus.ACCEPTED}
    assert one.titles()[2:] == ["27 alerts of gate"]
    body = one.carrier.letters[-1].body
    assert body.startswith("27 x person without mask: door\n")
    assert body.endswith("... and 7 more")
    assert len(one.carrier.letters[-1].alerts) == 27


LINKS = LinksConfig(
    enabled=True, key=Secret("a key for tests of thirty-two chars"), address="https://watch.example"
)


def with_links(**keys: object) -> Office:
    """An office whose letters hold links to acknowledge."""
    one = Office(**keys)
    settings = msgspec.structs.replace(config(one.channel), links=LINKS)
    one.sink = NotificationSink(settings, one.channel, carrier=one.carrier, clock=one.clock)
    one.start()
    return one


def test_a_letter_says_where_to_acknowledge_if_links_are_on() -> None:
    one = with_links()
    one.recorder.status(one.recorder.send(one.sink, change(1)))
    one.recorder.status(one.recorder.send(one.sink, incident(1)))
    one.sink.stop(5)
    about_person, about_camera = one.carrier.letters
    tickets = AckTokenSigner(LINKS.key, "gate", LINKS.address, LINKS.valid_for)
    link = tickets.url(violation_id(1), "guards", NOON)
    assert about_person.body.endswith(f") {link}")
    assert about_person.links == {str(violation_id(1)): link}
    assert "acknowledge" not in about_camera.body
    assert about_camera.links == {}


def test_a_digest_has_a_link_for_every_person_in_it() -> None:
    one = with_links(burst=1)
    for delivery in [one.recorder.send(one.sink, change(index)) for index in range(1, 4)]:
        one.recorder.status(delivery)
    one.sink.stop(5)
    (letter,) = one.carrier.letters
    assert letter.body.count("https://watch.example/acknowledge/") == 3
    assert set(letter.links) == {str(violation_id(index)) for index in range(1, 4)}


def test_of_a_refused_digest_only_the_alert_to_blame_is_refused(office: Callable[..., Office]) -> None:
    one = office(burst=1)
    bad = change(6).alert_id.encode()
    carry = one.carrier.carry

    def judge(letter: Notification) -> tuple[DeliveryStatus, str]:
        guilty = any(bad in each for each in letter.alerts)
        return (DeliveryStatus.REFUSED, "as told") if guilty else carry(letter)

    one.carrier.carry = judge
    sent = [one.recorder.send(one.sink, change(index)) for index in range(10)]
    fates = [one.recorder.status(delivery) for delivery in sent]
    assert [index for index, fate in enumerate(fates) if fate is not DeliveryStatus.ACCEPTED] == [6]
    assert fates[6] is DeliveryStatus.REFUSED
    assert sum(len(letter.alerts) for letter in one.carrier.letters) == 9
    assert len(one.carrier.letters) <= 4


def test_in_quiet_hours_nobody_is_told(office: Callable[..., Office]) -> None:
    one = office(quiet_start="22:00", quiet_end="06:00")
    assert one.sink.ready
    one.clock.advance(11 * 3600)  # 23:00
    assert not one.sink.ready
    one.clock.advance(8 * 3600)  # 07:00
    assert one.sink.ready


@pytest.mark.parametrize(
    ("start", "end", "hour", "quiet"),
    [
        ("22:00", "06:00", 23, True),
        ("22:00", "06:00", 5, True),
        ("22:00", "06:00", 6, False),
        ("12:00", "14:00", 13, True),
        ("12:00", "14:00", 14, False),
        ("", "", 3, False),
    ],
)
def test_quiet_hours_may_go_past_midnight(start: str, end: str, hour: int, quiet: bool) -> None:
    channel = ChannelConfig(name="a", quiet_start=start, quiet_end=end)
    assert is_quiet(channel, datetime(2026, 3, 1, hour, tzinfo=UTC)) is quiet


def test_quiet_hours_are_local_and_follow_daylight_saving() -> None:
    channel = ChannelConfig(name="a", quiet_start="22:00", quiet_end="06:00", time_zone="Europe/Berlin")
    assert is_quiet(channel, datetime(2026, 3, 28, 4, 30, tzinfo=UTC))  # 05:30 CET
    assert not is_quiet(channel, datetime(2026, 3, 29, 4, 30, tzinfo=UTC))  # 06:30 CEST


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, {"opened", "incident"}),
        ({"ended": True}, {"opened", "closed", "incident"}),
        ({"violations": False}, {"incident"}),
        ({"incidents": False}, {"opened"}),
        ({"cameras": ("yard",)}, set()),
        ({"zones": ("hall",)}, {"opened", "incident"}),
        ({"zones": ("street",)}, {"incident"}),
    ],
)
def test_a_channel_is_told_what_it_asks_for(keys: dict[str, object], told: set[str]) -> None:
    channel = ChannelConfig(name="a", **keys)
    subjects = {
        "opened": change(1),
        "updated": change(1, 2),
        "closed": change(1, 3, closed=True),
        "incident": incident(1),
    }
    assert {name for name, subject in subjects.items() if wants(channel, subject)} == told


def test_trouble_of_the_node_itself_reaches_every_channel() -> None:
    disk = replace(incident(1), camera="", kind=IncidentKind.DISK)
    assert wants(ChannelConfig(name="a", cameras=("yard",)), disk)


def test_what_a_channel_does_not_ask_for_is_done_with(office: Callable[..., Office]) -> None:
    one = office(cameras=("yard",))
    assert one.recorder.status(one.recorder.send(one.sink, change(1))) is DeliveryStatus.ACCEPTED
    assert one.carrier.letters == []


@pytest.mark.parametrize("fate", [DeliveryStatus.FAILED, DeliveryStatus.REFUSED])
def test_a_failure_of_the_service_is_that_of_the_delivery(
    office: Callable[..., Office], fate: DeliveryStatus
) -> None:
    one = office()
    one.carrier.fates = [fate]
    assert one.recorder.status(one.recorder.send(one.sink, change(1))) is fate


def test_what_was_not_carried_before_the_end_has_failed(office: Callable[..., Office]) -> None:
    one = office()
    one.sink.stop(5)
    delivery = Delivery(7, change(1), stored=True, picture=None)
    assert not one.sink.ready
    one.sink.send(delivery)
    one.start()
    eventually(lambda: [o.delivery for o in one.recorder.outcomes] == [7])


# --- what nobody acknowledged ---------------------------------------------------------------------


def test_a_violation_that_nobody_acknowledges_is_told_later(office: Callable[..., Office]) -> None:
    one = office(unacknowledged_for=600)
    assert one.recorder.status(one.recorder.send(one.sink, change(1))) is DeliveryStatus.ACCEPTED
    time.sleep(1.5)
    assert one.carrier.letters == []
    one.clock.advance(601)
    eventually(lambda: one.titles() == ["person without mask: door"])
    time.sleep(1.5)
    assert len(one.carrier.letters) == 1


def test_a_violation_that_was_acknowledged_is_not_told(office: Callable[..., Office]) -> None:
    one = office(unacknowledged_for=600)
    one.recorder.status(one.recorder.send(one.sink, change(1)))
    one.recorder.acknowledged = [violation_id(1)]
    one.clock.advance(601)
    eventually(lambda: not one.sink._held)
    assert one.carrier.letters == []


def late(one: Office) -> list[tuple[str, DeliveryStatus, str]]:
    """What was reported of changes whose delivery had ended: alert, fate, detail."""
    return [
        (f"{o.follow_up.violation.id}:{o.follow_up.number}", o.status, o.detail)
        for o in one.recorder.outcomes
        if o.follow_up is not None
    ]


def test_what_became_of_a_held_violation_is_reported_told_or_not(office: Callable[..., Office]) -> None:
    one = office(unacknowledged_for=600)
    for index in (1, 2):
        one.recorder.status(one.recorder.send(one.sink, change(index)))
    assert late(one) == []
    one.recorder.acknowledged = [violation_id(1)]
    one.clock.advance(601)
    eventually(lambda: len(late(one)) == 2)
    assert late(one) == [
        (f"{violation_id(1)}:1", DeliveryStatus.ACCEPTED, "acknowledged meanwhile, so not told"),
        (f"{violation_id(2)}:1", DeliveryStatus.ACCEPTED, "as told"),
    ]


def test_a_held_violation_that_cannot_be_told_is_given_up_after_five_tries_which_are_reported(
    office: Callable[..., Office],
) -> None:
    one = office(unacknowledged_for=600)
    one.carrier.fates = [DeliveryStatus.FAILED] * 5
    one.recorder.status(one.recorder.send(one.sink, change(1)))
    one.clock.advance(570)
    for tries in range(1, 6):
        one.clock.advance(31)
        eventually(lambda tries=tries: len(late(one)) == tries)
    assert [fate for _, fate, _ in late(one)] == [DeliveryStatus.FAILED] * 4 + [DeliveryStatus.REFUSED]
    assert not one.sink._held


def test_after_a_restart_it_is_waited_for_again_whether_it_is_open_or_not() -> None:
    one = Office(unacknowledged_for=600)
    one.recorder.unacknowledged = [change(1), change(2)]
    one.start()
    assert len(one.sink._held) == 2
    one.recorder.acknowledged = [violation_id(1)]
    one.clock.advance(601)
    eventually(lambda: len(one.carrier.letters) == 1)
    one.sink.stop(5)
    assert str(violation_id(2)) in one.carrier.letters[0].body


def test_after_a_restart_what_was_due_long_ago_is_not_told_again() -> None:
    one = Office(unacknowledged_for=600)
    one.recorder.unacknowledged = [
        samples.change(1, started=NOON - timedelta(seconds=901)),
        samples.change(2, started=NOON - timedelta(seconds=899)),
    ]
    one.start()
    eventually(lambda: len(one.carrier.letters) == 1)
    one.sink.stop(5)
    assert str(violation_id(2)) in one.carrier.letters[0].body


# --- how it travels -------------------------------------------------------------------------------


@pytest.fixture
def peer() -> Iterator[WebPeer]:
    opened = WebPeer()
    yield opened
    opened.close()


def letter(picture: Path | None = None) -> Notification:
    composer = MessageBuilder(Topics("maskwatch", "gate"), "gate")
    writer = NotificationRenderer(ChannelConfig(name="a"), composer, ManualClock(NOON))
    return writer.single(Delivery(1, change(1), stored=True, picture=picture))


def webhook(port: int, path: str = "/hook") -> WebhookTransport:
    return WebhookTransport(SecretUrl(f"http://127.0.0.1:{port}{path}"), Secret("signing-key"))


def test_a_webhook_gets_the_alerts_signed(peer: WebPeer) -> None:
    assert webhook(peer.port).carry(letter()) == (DeliveryStatus.ACCEPTED, "answered 200")
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


def test_the_check_in_the_documentation_accepts_a_request_and_refuses_a_forged_one(
    peer: WebPeer, root: Path
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (root / "docs/alerts.md").read_text(), re.DOTALL)
    place: dict[str, Callable[[str, bytes, bytes], bool]] = {}
    exec(code, place)
    is_genuine = place["is_genuine"]
    webhook(peer.port).carry(letter())
    (request,) = peer.requests
    header = request.headers["X-Maskwatch-Signature"]
    assert is_genuine(header, request.body, b"signing-key")
    assert not is_genuine(header, request.body + b" ", b"signing-key")
    assert not is_genuine(header, request.body, b"another-key")
    old = signature(Secret("signing-key"), int(time.time()) - 600, request.body)
    assert not is_genuine(old, request.body, b"signing-key")


def test_the_configuration_in_the_documentation_is_valid(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (root / "docs/alerts.md").read_text(), re.DOTALL)
    people = "".join(blocks)
    for name in re.findall(r"\$\{(\w+)\}", people):
        monkeypatch.setenv(name, PASSWORD * 3)
    path = tmp_path / "config.yaml"
    path.write_text("cameras: [{name: door, url: 'rtsp://x/1'}]\n" + people)
    loaded = load(path)
    assert [channel.name for channel in loaded.people] == ["guards", "manager", "ticket-system"]
    assert loaded.links.enabled


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("url: a, webhook: 'http://x', key: k", "`url` and `webhook` stand together"),
        ("webhook: 'ftp://x', key: k", "no http:// or https:// address"),
        ("webhook: 'http://x'", "needs a key to sign with"),
        ("url: a, quiet_start: '22:00'", "need each other"),
        ("url: a, cameras: [dor]", "'dor' is no camera"),
        ("url: a, title: '{camra}'", "{camra} is not known"),
        ("url: a, time_zone: Europe/Berlino", "no time zone"),
        ("url: a, quiet_start: '25:00', quiet_end: '06:00'", "a time such as 22:00"),
    ],
)
def test_what_is_wrong_with_a_channel_is_said_at_its_key(tmp_path: Path, keys: str, words: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"cameras: [{{name: door, url: 'rtsp://x/1'}}]\npeople: [{{name: g, {keys}}}]\n")
    with pytest.raises(ConfigError) as wrong:
        load(path)
    assert words in str(wrong.value)
    assert "people[0]" in str(wrong.value)


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (204, DeliveryStatus.ACCEPTED),
        (302, DeliveryStatus.FAILED),
        (400, DeliveryStatus.REFUSED),
        (422, DeliveryStatus.REFUSED),
        (401, DeliveryStatus.FAILED),
        (404, DeliveryStatus.FAILED),
        (429, DeliveryStatus.FAILED),
        (503, DeliveryStatus.FAILED),
    ],
)
def test_the_answer_of_a_webhook_decides_and_no_redirect_is_followed(
    peer: WebPeer, status: int, fate: DeliveryStatus
) -> None:
    peer.answers = [status]
    assert webhook(peer.port).carry(letter())[0] is fate
    assert len(peer.requests) == 1


def test_a_webhook_that_is_away_is_a_failure_without_its_secrets() -> None:
    carrier = WebhookTransport(SecretUrl(f"http://u:{PASSWORD}@127.0.0.1:1/{PASSWORD}"), Secret("k"))
    fate, detail = carrier.carry(letter())
    assert fate is DeliveryStatus.FAILED
    assert PASSWORD not in detail


def test_apprise_sends_text_and_picture(peer: WebPeer, tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(JPEG)
    carrier = AppriseTransport("guards", Secret(f"json://127.0.0.1:{peer.port}/hook"))
    assert carrier.carry(letter(picture))[0] is DeliveryStatus.ACCEPTED
    body = json.loads(peer.requests[0].body)
    assert body["title"] == "person without mask: door"
    assert base64.b64decode(body["attachments"][0]["base64"]) == JPEG


def test_a_service_that_fails_says_why_without_its_secrets(
    peer: WebPeer, caplog: pytest.LogCaptureFixture
) -> None:
    peer.answers = [500]
    url = f"json://user:{PASSWORD}@127.0.0.1:{peer.port}/hook"
    fate, detail = AppriseTransport("guards", Secret(url)).carry(letter())
    assert fate is DeliveryStatus.FAILED
    assert "500" in detail
    assert PASSWORD not in detail + caplog.text


def test_a_url_that_apprise_does_not_know_is_a_clear_error_without_it() -> None:
    with pytest.raises(ConfigError, match="people: guards: Apprise does not understand") as error:
        AppriseTransport("guards", Secret(f"nonsense://{PASSWORD}"))
    assert PASSWORD not in str(error.value)


def test_each_channel_is_a_sink_of_its_own_and_one_without_an_address_is_off(peer: WebPeer) -> None:
    mail = ChannelConfig(name="mail", url=Secret(f"json://127.0.0.1:{peer.port}"))
    hook = ChannelConfig(name="hook", webhook=SecretUrl("http://127.0.0.1:1"), key=Secret("k"))
    off = ChannelConfig(name="off")
    sinks = make_sinks(config(mail, hook, off))
    assert [sink.name for sink in sinks] == ["people-mail", "people-hook"]
    assert isinstance(make_transport(hook), WebhookTransport)


def test_both_ends_of_a_violation_reach_a_webhook_through_the_sink(peer: WebPeer) -> None:
    channel = ChannelConfig(
        name="hook", webhook=SecretUrl(f"http://127.0.0.1:{peer.port}"), key=Secret("k"), ended=True
    )
    sink, recorder = NotificationSink(config(channel), channel), FakeRecorder()
    sink.start(recorder.report, recorder.standing, recorder.command)
    for subject in (change(1), change(1, 2, closed=True)):
        assert recorder.status(recorder.send(sink, subject)) is DeliveryStatus.ACCEPTED
    sink.stop(5)
    changes = [msgspec.json.decode(r.body)["alerts"][0]["change"] for r in peer.requests]
    assert changes == ["opened", "closed"]
