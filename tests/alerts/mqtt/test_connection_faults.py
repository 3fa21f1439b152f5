"""The MQTT sink against brokers that refuse, drop, hang, or are not brokers."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from maskwatch.alerts.mqtt.connection import MqttConnection, Received, packet_bytes
from maskwatch.alerts.mqtt.topics import Message
from maskwatch.alerts.sink import DeliveryStatus
from maskwatch.config.schema import MqttConfig, MqttVersion
from maskwatch.secrets import Secret
from tests.alerts.conftest import MakeSink
from tests.fakes.mosquitto import CANARY_PASSWORD, Listener, Mosquitto, password_lines, tls_lines
from tests.fakes.recorder_side import FakeRecorder
from tests.fakes.samples import change
from tests.fakes.stubborn_broker import Behaviour, StubbornBroker
from tests.fakes.waiting import wait_until

ROOT = "maskwatch/gate%201"

Start = Callable[..., Mosquitto]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a Mosquitto with these lines in its configuration."""
    started: list[Mosquitto] = []

    def begin(lines: list[str], listener: str = "") -> Mosquitto:
        broker = Mosquitto(tmp_path, lines, listener)
        broker.start()
        started.append(broker)
        return broker

    yield begin
    for each in started:
        each.stop()


@pytest.fixture
def stubborn() -> Iterator[Callable[[Behaviour], StubbornBroker]]:
    """Start a broker that misbehaves."""
    started: list[StubbornBroker] = []

    def begin(behaviour: Behaviour) -> StubbornBroker:
        started.append(StubbornBroker(behaviour))
        return started[-1]

    yield begin
    for each in started:
        each.close()


def wait_for_warning(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Wait for the warning; check that it is logged once and without the password."""
    wait_until(lambda: any(words in record.getMessage() for record in caplog.records))
    time.sleep(0.5)
    warnings = [r for r in caplog.records if words in r.getMessage() and r.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert CANARY_PASSWORD not in caplog.text


def test_a_wrong_password_is_one_warning_and_the_sink_is_not_ready(
    start: Start,
    tmp_path: Path,
    recorder: FakeRecorder,
    make_sink: MakeSink,
    version: MqttVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = start(password_lines(tmp_path))
    sink = make_sink(broker.port, version=version, username="node", password=Secret("hunter3-canary"))
    recorder.start(sink, ready=False)
    wait_for_warning(caplog, "refused the connection: not authorized")
    assert not sink.ready
    assert "hunter3" not in caplog.text
    assert recorder.status(recorder.send(sink, change(1))) is DeliveryStatus.FAILED


def test_the_right_password_is_accepted(
    start: Start, tmp_path: Path, recorder: FakeRecorder, make_sink: MakeSink, version: MqttVersion
) -> None:
    broker = start(password_lines(tmp_path))
    sink = make_sink(broker.port, version=version, username="node", password=Secret(CANARY_PASSWORD))
    recorder.start(sink)
    assert recorder.status(recorder.send(sink, change(1))) is DeliveryStatus.ACCEPTED


def test_the_canary_detects_an_acl_that_drops_publications(
    start: Start,
    tmp_path: Path,
    recorder: FakeRecorder,
    make_sink: MakeSink,
    version: MqttVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A 3.1.1 broker acknowledges what it drops: without the canary all would count as delivered."""
    acl = tmp_path / "acl"
    acl.write_text(f"user node\ntopic read {ROOT}/#\n")
    broker = start([*password_lines(tmp_path), f"acl_file {acl}"])
    sink = make_sink(
        broker.port, version=version, username="node", password=Secret(CANARY_PASSWORD), ack_timeout=1.0
    )
    recorder.start(sink, ready=False)
    wait_for_warning(caplog, f"its ACL must let this user read and write {ROOT}/#")
    assert not sink.ready
    assert recorder.status(recorder.send(sink, change(1))) is DeliveryStatus.FAILED
    acl.write_text(f"user node\ntopic readwrite {ROOT}/#\n")
    broker.stop()
    broker.start()
    wait_until(lambda: sink.ready)


def test_an_alert_that_an_acl_refuses_in_mqtt_5_is_refused(
    start: Start, tmp_path: Path, recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"user node\ntopic readwrite {ROOT}/canary\ntopic readwrite {ROOT}/status\n")
    broker = start([*password_lines(tmp_path), f"acl_file {acl}"])
    sink = make_sink(broker.port, username="node", password=Secret(CANARY_PASSWORD))
    recorder.start(sink)
    outcome = recorder.outcome(recorder.send(sink, change(1)))
    assert outcome.status is DeliveryStatus.REFUSED
    assert outcome.correctable
    assert "not authorized" in outcome.detail


@pytest.mark.parametrize(
    ("code", "status", "correctable"),
    [
        (0x00, DeliveryStatus.ACCEPTED, True),
        (0x10, DeliveryStatus.ACCEPTED, True),
        (0x80, DeliveryStatus.REFUSED, True),
        (0x83, DeliveryStatus.REFUSED, True),
        (0x87, DeliveryStatus.REFUSED, True),
        (0x90, DeliveryStatus.REFUSED, True),
        (0x91, DeliveryStatus.FAILED, True),
        (0x97, DeliveryStatus.FAILED, True),
        (0x99, DeliveryStatus.REFUSED, False),
    ],
)
def test_the_reason_code_decides_the_outcome(
    stubborn: Callable[[Behaviour], StubbornBroker],
    recorder: FakeRecorder,
    make_sink: MakeSink,
    code: int,
    status: DeliveryStatus,
    correctable: bool,
) -> None:
    broker = stubborn(Behaviour(puback=code))
    sink = make_sink(broker.port)
    recorder.start(sink)
    outcome = recorder.outcome(recorder.send(sink, change(1)))
    assert (outcome.status, outcome.correctable) == (status, correctable)
    assert sink.ready


def test_a_delivery_without_an_acknowledgement_fails_and_reconnects(
    stubborn: Callable[[Behaviour], StubbornBroker],
    recorder: FakeRecorder,
    make_sink: MakeSink,
    version: MqttVersion,
) -> None:
    broker = stubborn(Behaviour(puback=None, v5=version is MqttVersion.V5))
    sink = make_sink(broker.port, version=version, ack_timeout=0.5)
    recorder.start(sink)
    outcome = recorder.outcome(recorder.send(sink, change(1)))
    assert outcome.status is DeliveryStatus.FAILED
    assert "no acknowledgement" in outcome.detail
    wait_until(lambda: len(broker.seen.connects) >= 2)


def test_nothing_is_published_before_the_command_subscription_is_confirmed(
    stubborn: Callable[[Behaviour], StubbornBroker], recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    """A client that sees `online` may send a command: the subscription must be in place by then."""
    broker = stubborn(Behaviour(puback=0, confirm_commands=False))
    sink = make_sink(broker.port, commands=True, ack_timeout=0.5)
    recorder.start(sink, ready=False)
    wait_until(lambda: len(broker.seen.connects) >= 2, what="it reconnects")
    assert {topic for topic, _ in broker.seen.publications} == {f"{ROOT}/canary"}
    assert not sink.ready


def test_no_more_is_in_flight_than_window_and_receive_maximum(
    stubborn: Callable[[Behaviour], StubbornBroker], recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    receive_maximum = b"\x21\x00\x04"
    broker = stubborn(Behaviour(puback=None, properties=receive_maximum))
    sink = make_sink(broker.port, ack_timeout=1.0, window=20)
    recorder.start(sink)
    deliveries = [recorder.send(sink, change(index)) for index in range(1, 21)]
    assert {recorder.status(delivery) for delivery in deliveries} == {DeliveryStatus.FAILED}
    assert broker.seen.max_pending <= 4


def test_a_picture_larger_than_the_broker_accepts_is_left_out(
    stubborn: Callable[[Behaviour], StubbornBroker],
    recorder: FakeRecorder,
    make_sink: MakeSink,
    tmp_path: Path,
) -> None:
    """Otherwise the broker would close the connection, and the alert would never be delivered."""
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"x" * 30_000)
    broker = stubborn(Behaviour(puback=0, properties=b"\x27\x00\x00\x40\x00"))
    sink = make_sink(broker.port, send_pictures=True)
    recorder.start(sink)
    assert recorder.status(recorder.send(sink, change(1), picture=picture)) is DeliveryStatus.ACCEPTED
    published = dict(broker.seen.publications)
    assert f"{ROOT}/camera/door/picture" not in published
    assert json.loads(published[f"{ROOT}/camera/door/violation"])["picture"]["topic"] is None


@pytest.mark.parametrize("size", [0, 1, 50, 100, 16_200, 16_300, 70_000])
@pytest.mark.parametrize("correlation", [b"", b"c" * 40])
def test_the_computed_packet_size_is_an_upper_bound(
    stubborn: Callable[[Behaviour], StubbornBroker], size: int, correlation: bytes
) -> None:
    broker = stubborn(Behaviour(puback=0))
    message = Message("maskwatch/gate/ü", b"x" * size, expiry=60, correlation=correlation)
    connection = MqttConnection(MqttConfig(port=broker.port), "a-client", Message("will", b""))
    connection.open(5)
    connection.publish(message)
    wait_until(lambda: bool(broker.seen.sizes))
    connection.close()
    assert broker.seen.sizes[0] <= packet_bytes(message) <= broker.seen.sizes[0] + 9


def test_an_oversized_alert_is_refused_and_the_connection_stays_open(
    stubborn: Callable[[Behaviour], StubbornBroker],
    recorder: FakeRecorder,
    make_sink: MakeSink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Retained messages too: otherwise the broker would close each connection."""
    zones = tuple(f"zone {number:040}" for number in range(60))
    large = replace(change(1), violation=replace(change(1).violation, zones=zones))
    broker = stubborn(Behaviour(puback=0, properties=b"\x27\x00\x00\x08\x00"))
    recorder.open_violations = [change(index) for index in range(2, 60)]
    sink = make_sink(broker.port)
    recorder.start(sink)
    outcome = recorder.outcome(recorder.send(sink, large))
    assert outcome.status is DeliveryStatus.REFUSED
    assert outcome.correctable
    assert "the broker takes no more than 2048" in outcome.detail
    assert recorder.status(recorder.send(sink, change(2))) is DeliveryStatus.ACCEPTED
    wait_for_warning(caplog, "/open_violations is not sent")
    assert max(broker.seen.sizes) <= 2048
    assert len(broker.seen.connects) == 1


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (Behaviour(connack=None), "accepted the connection but does not answer"),
        (Behaviour(connack=0x88), "refused the connection: server unavailable"),
        (Behaviour(garbage=b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not answer"),
        (Behaviour(garbage=b"\x20\x02"), "does not answer"),
        (Behaviour(echo_canary=False), "drops what is published"),
    ],
    ids=["mute", "refusing", "not-mqtt", "half-an-answer", "no-canary"],
)
def test_a_peer_that_misbehaves_is_one_warning(
    stubborn: Callable[[Behaviour], StubbornBroker],
    recorder: FakeRecorder,
    make_sink: MakeSink,
    caplog: pytest.LogCaptureFixture,
    behaviour: Behaviour,
    words: str,
) -> None:
    broker = stubborn(behaviour)
    sink = make_sink(broker.port, ack_timeout=0.5)
    recorder.start(sink, ready=False)
    wait_for_warning(caplog, words)
    assert not sink.ready


def test_a_message_of_many_megabytes_does_not_reach_the_recorder(start: Start) -> None:
    broker = start(["allow_anonymous true"])
    will = Message("maskwatch/will", b"")
    connection = MqttConnection(MqttConfig(port=broker.port), "recorder", will)
    connection.open(10)
    connection.subscribe(["maskwatch/command"])
    wait_until(lambda: bool(connection.poll(0.1)), what="the subscription is confirmed")
    with Listener(broker.port) as sender:
        for size in (20_000_000, 2):
            sender.publish("maskwatch/command", bytes(size))
    received: list[Received] = []

    def arrived() -> bool:
        received.extend(each for each in connection.poll(0.1) if isinstance(each, Received))
        return any(len(each.payload) == 2 for each in received)

    wait_until(arrived, 30, "the small one arrives")
    connection.close()
    assert [len(each.payload) for each in received] == [2]


# --- TLS ----------------------------------------------------------------------------------------------


def test_alerts_are_sent_over_tls_with_a_client_certificate(
    start: Start, certificates: Path, recorder: FakeRecorder, make_sink: MakeSink, version: MqttVersion
) -> None:
    broker = start([*tls_lines(certificates), "require_certificate true"])
    sink = make_sink(
        broker.port,
        version=version,
        tls=True,
        ca_file=str(certificates / "ca.crt"),
        client_cert=str(certificates / "client.crt"),
        client_key=str(certificates / "client.key"),
    )
    recorder.start(sink)
    assert recorder.status(recorder.send(sink, change(1))) is DeliveryStatus.ACCEPTED


def test_an_expired_certificate_is_one_warning(
    start: Start,
    certificates: Path,
    recorder: FakeRecorder,
    make_sink: MakeSink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = start(tls_lines(certificates, "expired"))
    sink = make_sink(broker.port, tls=True, ca_file=str(certificates / "ca.crt"))
    recorder.start(sink, ready=False)
    wait_for_warning(caplog, "certificate has expired")
    assert not sink.ready


def test_a_certificate_of_an_unknown_authority_is_refused(
    start: Start,
    certificates: Path,
    recorder: FakeRecorder,
    make_sink: MakeSink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = start(tls_lines(certificates))
    sink = make_sink(broker.port, tls=True)
    recorder.start(sink, ready=False)
    wait_for_warning(caplog, "its certificate is not accepted")


def test_a_tls_file_that_cannot_be_read_is_named(
    recorder: FakeRecorder, make_sink: MakeSink, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = make_sink(1, tls=True, ca_file=str(tmp_path / "none.crt"))
    recorder.start(sink, ready=False)
    wait_for_warning(caplog, f"mqtt.ca_file: {tmp_path}/none.crt cannot be used: No such file")


# --- load ---------------------------------------------------------------------------------------------


def test_a_backlog_drains_in_order_through_the_window(
    start: Start, recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    broker = start(["allow_anonymous true"])
    listener = Listener(broker.port, f"{ROOT}/camera/door/violation")
    sink = make_sink(broker.port, window=50)
    recorder.start(sink)
    total, sent = 2000, 0
    while sent < total:
        while sent < total and sent - len(recorder.outcomes) < sink.window:
            sent += 1
            recorder.send(sink, change(1, sent))
        time.sleep(0.001)
    listener.wait(lambda received: len(received) >= total, 60)
    numbers = [json.loads(received.payload)["number"] for received in listener.messages]
    listener.close()
    assert numbers == list(range(1, total + 1))


def test_an_unreachable_broker_does_not_delay_the_recorder(
    recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    """With a full listen queue connecting blocks; sending must not."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        full = [socket.socket() for _ in range(4)]
        for each in full:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        sink = make_sink(port)
        recorder.start(sink, ready=False)
        before = time.monotonic()
        for index in range(100):
            recorder.send(sink, change(index))
        assert time.monotonic() - before < 2.0
        assert not sink.ready
        for each in full:
            each.close()


def test_lost_connections_leave_no_threads_or_descriptors(
    stubborn: Callable[[Behaviour], StubbornBroker], recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    broker = stubborn(Behaviour(connack=0x88))
    sink = make_sink(broker.port, max_wait=0.01)
    recorder.start(sink, ready=False)
    wait_until(lambda: len(broker.seen.connects) > 10)
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    wait_until(lambda: len(broker.seen.connects) > 110)
    assert threading.active_count() <= threads
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 4
