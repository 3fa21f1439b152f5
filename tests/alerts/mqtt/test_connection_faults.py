"""The MQTT sink against brokers that refuse, drop, hang, or are not what they should be."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from maskwatch.alerts.mqtt.connection import MqttConnection, packet_bytes
from maskwatch.alerts.mqtt.topics import Message
from maskwatch.alerts.sink import DeliveryStatus
from maskwatch.config.schema import MqttConfig, MqttVersion
from maskwatch.secrets import Secret
from tests.alerts.conftest import MakeSink
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.recorder_side import FakeRecorder, eventually
from tests.fakes.samples import change
from tests.fakes.stubborn_broker import Manners, StubbornBroker

ROOT = "maskwatch/gate%201"
CANARY_PASSWORD = "hunter2-canary"

Start = Callable[..., Mosquitto]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a Mosquitto with these lines in its configuration."""
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
def stubborn() -> Iterator[Callable[[Manners], StubbornBroker]]:
    """Starts a broker that misbehaves."""
    started: list[StubbornBroker] = []

    def begin(manners: Manners) -> StubbornBroker:
        started.append(StubbornBroker(manners))
        return started[-1]

    yield begin
    for each in started:
        each.close()


def passwords(directory: Path) -> list[str]:
    """A password file with the users `node` and `reader`."""
    path = directory / "passwords"
    path.write_text("")
    for user in ("node", "reader"):
        subprocess.run(
            ["mosquitto_passwd", "-b", str(path), user, CANARY_PASSWORD], check=True, capture_output=True
        )
    return ["allow_anonymous false", f"password_file {path}"]


def complaint(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Wait until the log says so, and hold that it says so once and without the password."""
    eventually(lambda: any(words in record.getMessage() for record in caplog.records))
    time.sleep(0.5)
    said = [r for r in caplog.records if words in r.getMessage() and r.levelno >= logging.WARNING]
    assert len(said) == 1
    assert CANARY_PASSWORD not in caplog.text


def test_a_wrong_password_is_one_clear_warning_and_no_readiness(
    start: Start,
    tmp_path: Path,
    recorder: FakeRecorder,
    make_sink: MakeSink,
    version: MqttVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = start(passwords(tmp_path))
    sink = make_sink(broker.port, version=version, username="node", password=Secret("hunter3-canary"))
    recorder.start(sink, ready=False)
    complaint(caplog, "refused the connection: not authorized")
    assert not sink.ready
    assert "hunter3" not in caplog.text
    assert recorder.status(recorder.send(sink, change(1))) is DeliveryStatus.FAILED


def test_the_right_password_is_accepted(
    start: Start, tmp_path: Path, recorder: FakeRecorder, make_sink: MakeSink, version: MqttVersion
) -> None:
    broker = start(passwords(tmp_path))
    sink = make_sink(broker.port, version=version, username="node", password=Secret(CANARY_PASSWORD))
    recorder.start(sink)
    assert recorder.status(recorder.send(sink, change(1))) is DeliveryStatus.ACCEPTED


def test_an_acl_that_drops_what_we_publish_is_found_by_the_canary(
    start: Start,
    tmp_path: Path,
    recorder: FakeRecorder,
    make_sink: MakeSink,
    version: MqttVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A 3.1.1 broker acknowledges what it drops: without the canary all would seem delivered."""
    acl = tmp_path / "acl"
    acl.write_text(f"user node\ntopic read {ROOT}/#\n")
    broker = start([*passwords(tmp_path), f"acl_file {acl}"])
    sink = make_sink(
        broker.port, version=version, username="node", password=Secret(CANARY_PASSWORD), ack_timeout=1.0
    )
    recorder.start(sink, ready=False)
    complaint(caplog, f"its ACL must let this user read and write {ROOT}/#")
    assert not sink.ready
    assert recorder.status(recorder.send(sink, change(1))) is DeliveryStatus.FAILED
    acl.write_text(f"user node\ntopic readwrite {ROOT}/#\n")
    broker.stop()
    broker.start()
    eventually(lambda: sink.ready)


def test_mqtt_5_says_which_alert_an_acl_refuses_and_that_is_not_an_acceptance(
    start: Start, tmp_path: Path, recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"user node\ntopic readwrite {ROOT}/canary\ntopic readwrite {ROOT}/status\n")
    broker = start([*passwords(tmp_path), f"acl_file {acl}"])
    sink = make_sink(broker.port, username="node", password=Secret(CANARY_PASSWORD))
    recorder.start(sink)
    outcome = recorder.outcome(recorder.send(sink, change(1)))
    assert outcome.status is DeliveryStatus.REFUSED
    assert "not authorized" in outcome.detail


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        (0x00, DeliveryStatus.ACCEPTED),
        (0x10, DeliveryStatus.ACCEPTED),
        (0x80, DeliveryStatus.REFUSED),
        (0x97, DeliveryStatus.FAILED),
    ],
)
def test_the_reason_code_decides_the_outcome(
    stubborn: Callable[[Manners], StubbornBroker],
    recorder: FakeRecorder,
    make_sink: MakeSink,
    code: int,
    fate: DeliveryStatus,
) -> None:
    broker = stubborn(Manners(puback=code))
    sink = make_sink(broker.port)
    recorder.start(sink)
    assert recorder.status(recorder.send(sink, change(1))) is fate
    assert sink.ready


def test_without_an_acknowledgement_a_delivery_fails_and_the_connection_is_made_anew(
    stubborn: Callable[[Manners], StubbornBroker],
    recorder: FakeRecorder,
    make_sink: MakeSink,
    version: MqttVersion,
) -> None:
    broker = stubborn(Manners(puback=None, v5=version is MqttVersion.V5))
    sink = make_sink(broker.port, version=version, ack_timeout=0.5)
    recorder.start(sink)
    outcome = recorder.outcome(recorder.send(sink, change(1)))
    assert outcome.status is DeliveryStatus.FAILED
    assert "no acknowledgement" in outcome.detail
    eventually(lambda: len(broker.seen.connects) >= 2)


def test_no_more_is_in_flight_than_the_window_and_the_brokers_receive_maximum_allow(
    stubborn: Callable[[Manners], StubbornBroker], recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    receive_maximum = b"\x21\x00\x04"
    broker = stubborn(Manners(puback=None, properties=receive_maximum))
    sink = make_sink(broker.port, ack_timeout=1.0, window=20)
    recorder.start(sink)
    deliveries = [recorder.send(sink, change(index)) for index in range(1, 21)]
    assert {recorder.status(delivery) for delivery in deliveries} == {DeliveryStatus.FAILED}
    assert broker.seen.most_pending <= 4


def test_a_picture_larger_than_the_broker_takes_is_left_out(
    stubborn: Callable[[Manners], StubbornBroker],
    recorder: FakeRecorder,
    make_sink: MakeSink,
    tmp_path: Path,
) -> None:
    """Otherwise the broker would close the connection, and the alert would never pass."""
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"x" * 30_000)
    broker = stubborn(Manners(puback=0, properties=b"\x27\x00\x00\x40\x00"))
    sink = make_sink(broker.port, send_pictures=True)
    recorder.start(sink)
    assert recorder.status(recorder.send(sink, change(1), picture=picture)) is DeliveryStatus.ACCEPTED
    published = dict(broker.seen.publications)
    assert f"{ROOT}/camera/door/picture" not in published
    assert json.loads(published[f"{ROOT}/camera/door/violation"])["picture"]["topic"] is None


@pytest.mark.parametrize("size", [0, 1, 50, 100, 16_200, 16_300, 70_000])
@pytest.mark.parametrize("correlation", [b"", b"c" * 40])
def test_how_long_a_packet_is_is_known_before_it_is_sent(
    stubborn: Callable[[Manners], StubbornBroker], size: int, correlation: bytes
) -> None:
    broker = stubborn(Manners(puback=0))
    message = Message("maskwatch/gate/ü", b"x" * size, expiry=60, correlation=correlation)
    link = MqttConnection(MqttConfig(port=broker.port), "a-client", Message("will", b""))
    link.open(5)
    link.publish(message)
    eventually(lambda: bool(broker.seen.sizes))
    link.close()
    assert broker.seen.sizes[0] <= packet_bytes(message) <= broker.seen.sizes[0] + 9


def test_an_alert_larger_than_the_broker_takes_is_refused_and_the_connection_stands(
    stubborn: Callable[[Manners], StubbornBroker],
    recorder: FakeRecorder,
    make_sink: MakeSink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also what is retained: the broker would cut us off again and again."""
    zones = tuple(f"zone {number:040}" for number in range(60))
    large = replace(change(1), violation=replace(change(1).violation, zones=zones))
    broker = stubborn(Manners(puback=0, properties=b"\x27\x00\x00\x08\x00"))
    recorder.open_violations = [change(index) for index in range(2, 60)]
    sink = make_sink(broker.port)
    recorder.start(sink)
    outcome = recorder.outcome(recorder.send(sink, large))
    assert outcome.status is DeliveryStatus.REFUSED
    assert "the broker takes no more than 2048" in outcome.detail
    assert recorder.status(recorder.send(sink, change(2))) is DeliveryStatus.ACCEPTED
    complaint(caplog, "/open_violations is not sent")
    assert max(broker.seen.sizes) <= 2048
    assert len(broker.seen.connects) == 1


@pytest.mark.parametrize(
    ("manners", "words"),
    [
        (Manners(connack=None), "accepted the connection but does not answer"),
        (Manners(connack=0x88), "refused the connection: server unavailable"),
        (Manners(garbage=b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not answer"),
        (Manners(garbage=b"\x20\x02"), "does not answer"),
        (Manners(hear_canary=False), "drops what is published"),
    ],
    ids=["mute", "refusing", "not-mqtt", "half-an-answer", "deaf"],
)
def test_a_peer_that_is_no_good_is_one_clear_warning(
    stubborn: Callable[[Manners], StubbornBroker],
    recorder: FakeRecorder,
    make_sink: MakeSink,
    caplog: pytest.LogCaptureFixture,
    manners: Manners,
    words: str,
) -> None:
    broker = stubborn(manners)
    sink = make_sink(broker.port, ack_timeout=0.5)
    recorder.start(sink, ready=False)
    complaint(caplog, words)
    assert not sink.ready


# --- TLS ----------------------------------------------------------------------------------------------


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server certificate that is valid, one that has expired, and a client's."""
    path = tmp_path_factory.mktemp("certificates")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        path, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test authority"
    )
    (path / "san").write_text("subjectAltName=IP:127.0.0.1")
    for name, days in (("good", "2"), ("expired", "-1"), ("client", "2")):
        openssl(
            path, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )
        sign = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san"]
        openssl(path, "x509", "-req", "-in", f"{name}.csr", *sign, "-days", days, "-out", f"{name}.crt")
    return path


def tls_lines(certificates: Path, server: str = "good") -> list[str]:
    return [
        "allow_anonymous true",
        f"cafile {certificates}/ca.crt",
        f"certfile {certificates}/{server}.crt",
        f"keyfile {certificates}/{server}.key",
    ]


def test_alerts_travel_over_tls_and_a_client_certificate_is_shown_if_asked(
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


def test_an_expired_certificate_is_refused_in_words(
    start: Start,
    certificates: Path,
    recorder: FakeRecorder,
    make_sink: MakeSink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = start(tls_lines(certificates, "expired"))
    sink = make_sink(broker.port, tls=True, ca_file=str(certificates / "ca.crt"))
    recorder.start(sink, ready=False)
    complaint(caplog, "certificate has expired")
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
    complaint(caplog, "its certificate is not accepted")


def test_a_tls_file_that_cannot_be_read_is_named(
    recorder: FakeRecorder, make_sink: MakeSink, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = make_sink(1, tls=True, ca_file=str(tmp_path / "none.crt"))
    recorder.start(sink, ready=False)
    complaint(caplog, f"cannot use the TLS files ({tmp_path}/none.crt)")


# --- load ---------------------------------------------------------------------------------------------


def test_the_window_is_kept_full_and_a_backlog_drains_in_order(
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
    listener.wait(lambda heard: len(heard) >= total, 60)
    numbers = [json.loads(heard.payload)["number"] for heard in listener.heard]
    listener.close()
    assert numbers == list(range(1, total + 1))


def test_a_broker_that_cannot_be_reached_holds_up_nobody(
    recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    """A full listen queue swallows connections: connecting blocks, sending must not."""
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
        assert time.monotonic() - before < 0.5
        assert not sink.ready
        for each in full:
            each.close()


def test_no_thread_or_descriptor_is_left_by_a_hundred_lost_connections(
    stubborn: Callable[[Manners], StubbornBroker], recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    broker = stubborn(Manners(connack=0x88))
    sink = make_sink(broker.port, longest_pause=0.01)
    recorder.start(sink, ready=False)
    eventually(lambda: len(broker.seen.connects) > 10)
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    eventually(lambda: len(broker.seen.connects) > 110)
    assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 4
