"""A way out that hangs, refuses or is not who it should be holds up no other, and loses nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

import pytest

from maskwatch.alerts.mqtt.topics import Topic
from maskwatch.lab.broker import free_port
from tests.fakes.mosquitto import (
    CANARY_PASSWORD,
    GatedMosquitto,
    Listener,
    Mosquitto,
    password_lines,
    tls_lines,
)
from tests.fakes.mqtt_alerts import TOPICS, alert, alerts_of, violation_topic
from tests.fakes.quick_daemon import IDLE_CAMERA, KEY, QuickDaemon, channel, wait_started
from tests.fakes.samples import change
from tests.fakes.stubborn_broker import Behaviour, StubbornBroker
from tests.fakes.waiting import wait_until
from tests.fakes.web_peer import WebPeer

STATE = 20
"""Publications of what is retained that may be out beside the alerts."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


class Mute:
    """A web server that takes connections and requests, and answers only once it is `released`."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.peer = WebPeer()
        self.peer.judge = self._wait
        self.port = self.peer.port

    def _wait(self, _: object) -> int:
        return 200 if self.released.wait(120) else 503

    def close(self) -> None:
        self.released.set()
        self.peer.close()


@pytest.fixture
def mute() -> Iterator[Mute]:
    peer = Mute()
    yield peer
    peer.close()


@pytest.fixture
def good() -> Iterator[WebPeer]:
    peer = WebPeer()
    yield peer
    peer.close()


@pytest.mark.long
def test_a_webhook_that_hangs_or_refuses_delays_no_other_sink(
    tmp_path: Path, mute: Mute, good: WebPeer
) -> None:
    closed = free_port()
    with Mosquitto(tmp_path) as broker, Listener(broker.port) as listener:
        channels = ", ".join(
            channel(name, port, burst=99, ended="true")
            for name, port in (
                ("mute", mute.port),
                ("mute-2", mute.port),
                ("mute-3", mute.port),
                ("closed", closed),
                ("good", good.port),
            )
        )
        more = f"mqtt: {{port: {broker.port}}}\npeople: [{channels}]"
        with QuickDaemon(tmp_path, IDLE_CAMERA, more, KEY) as daemon:
            wait_started(daemon)
            with daemon.connect_worker("door") as worker:
                for index in range(10):
                    worker.send(change(index))
                    worker.send(change(index, 2, closed=True))
                worker.wait(20)
            listener.wait(lambda _: len(alerts_of(listener)) == 20, 60)
            good.wait(20, 60)

            sinks = {"mqtt": 0, "people-good": 0, "people-mute": 20, "people-closed": 20}

            def pending() -> dict[str, float]:
                return {sink: daemon.metric("maskwatch_outbox_pending", sink=sink) for sink in sinks}

            wait_until(lambda: pending() == sinks, 30, "what waits is counted for each")
            assert not mute.peer.taken()
            assert daemon.stop() == 0, "not even the end waits for them"
            assert "took too long to end" not in daemon.log()


@pytest.mark.long
def test_alerts_wait_while_the_certificate_or_password_of_the_broker_is_wrong(
    tmp_path: Path, certificates: Path
) -> None:
    port, plain = free_port(), free_port()
    entry, *only_known = password_lines(tmp_path)
    users = tmp_path / "passwords"
    both = users.read_text()
    without_us = "".join(line for line in both.splitlines(True) if not line.startswith("node:"))
    more = (
        f"mqtt: {{port: {port}, tls: true, ca_file: '{certificates}/ca.crt', ack_timeout: 2,"
        " username: node, password: '${BROKER}'}"
    )

    def broker(certificate: str, known: str) -> GatedMosquitto:
        users.write_text(known)
        lines = [entry, *only_known, *tls_lines(certificates, certificate)[1:]]
        return GatedMosquitto(tmp_path, [*lines, f"listener {plain} 127.0.0.1"], port=port)

    with QuickDaemon(tmp_path, IDLE_CAMERA, more, {"BROKER": CANARY_PASSWORD}) as daemon:
        wait_started(daemon)
        with daemon.connect_worker("door") as worker:
            wrong = (
                ("expired", both, "certificate has expired"),
                ("good", without_us, "not authorized"),
            )
            for index, (certificate, known, complaint) in enumerate(wrong):
                worker.send(change(index))
                assert worker.wait(index + 1)[-1].stored
                with broker(certificate, known):
                    wait_until(lambda said=complaint: said in daemon.log(), 60, complaint)
        wait_until(lambda: daemon.metric("maskwatch_outbox_pending", sink="mqtt") == 2, 20, "they wait")
        assert daemon.metric("maskwatch_sink_ready") == 0
        with (
            broker("good", both) as mended,
            Listener(plain, username="reader", password=CANARY_PASSWORD) as listener,
        ):
            mended.admit()
            listener.wait(lambda _: alerts_of(listener) == [alert(0), alert(1)], 90)
            assert daemon.stop() == 0
        assert CANARY_PASSWORD not in daemon.log()
        assert "Traceback" not in daemon.log()


@pytest.mark.long
def test_alerts_that_a_broker_never_acknowledged_go_to_its_replacement(
    tmp_path: Path,
) -> None:
    silent = StubbornBroker(Behaviour(puback=None))
    more = f"mqtt: {{port: {silent.port}, ack_timeout: 1, window: 3}}"
    everything = {alert(index) for index in range(40)}
    with QuickDaemon(tmp_path, IDLE_CAMERA, more) as daemon:
        wait_started(daemon)
        with daemon.connect_worker("door") as worker:
            for index in range(len(everything)):
                worker.send(change(index))
            worker.wait(len(everything))

        def offered() -> list[str]:
            bodies = [
                json.loads(body)
                for name, body in list(silent.seen.publications)
                if name == violation_topic()
            ]
            return [body["id"] for body in bodies]

        wait_until(lambda: len(offered()) > len(set(offered())), 60, "what was offered is offered again")
        wait_until(lambda: daemon.metric("maskwatch_outbox_pending", sink="mqtt") == 40, 20, "all wait")
        assert "no acknowledgement" in daemon.log()
        assert silent.seen.max_pending <= 3 + STATE, "no more is out than the window"
        silent.close()
        with GatedMosquitto(tmp_path, port=silent.port) as broker, Listener(broker.port) as listener:
            broker.admit()
            listener.wait(lambda _: set(alerts_of(listener)) == everything, 90)
            wait_until(lambda: daemon.metric("maskwatch_outbox_pending") == 0, 20, "none waits")
            assert daemon.stop() == 0


def dropped(broker: Mosquitto) -> list[str]:
    """What the broker says of each publication of the daemon's that it dropped, all acknowledged."""
    words = "Denied PUBLISH from maskwatch-test"
    return [line for line in broker.log().splitlines() if words in line]


@pytest.mark.long
def test_no_alert_counts_as_delivered_while_an_acl_drops_what_it_acknowledges(
    tmp_path: Path,
) -> None:
    """An MQTT 3.1.1 broker has no other answer: only what the daemon hears of itself tells."""
    everything = [alert(index, number) for number in (1, 2) for index in range(15)]
    reader = {"username": "reader", "password": CANARY_PASSWORD}
    with (
        GatedMosquitto(tmp_path, password_lines(tmp_path)) as broker,
        Listener(broker.port, **reader) as listener,
    ):
        more = (
            f"mqtt: {{port: {broker.port}, version: '3.1.1', ack_timeout: 1,"
            " username: node, password: '${BROKER}'}"
        )
        with QuickDaemon(tmp_path, IDLE_CAMERA, more, {"BROKER": CANARY_PASSWORD}) as daemon:
            wait_started(daemon)
            with daemon.connect_worker("door") as worker:
                for index in range(15):
                    worker.send(change(index))
                    worker.send(change(index, 2, closed=True))
                assert all(receipt.stored for receipt in worker.wait(len(everything)))
            wait_until(lambda: len(dropped(broker)) > 2, 90, "it tries again and again")
            sink = {"sink": "mqtt"}
            wait_until(
                lambda: daemon.metric("maskwatch_outbox_pending", **sink) == len(everything),
                20,
                "all of them wait",
            )
            assert daemon.metric("maskwatch_sink_ready", **sink) == 0
            assert daemon.metric("maskwatch_alerts_total", **sink, fate="accepted") == 0
            assert daemon.log().count("drops what is published") == 1
            assert not [line for line in dropped(broker) if TOPICS.of(Topic.CANARY) not in line]
            assert listener.messages == []

            broker.admit()
            listener.wait(lambda _: len(alerts_of(listener)) == len(everything), 120)
            came = alerts_of(listener)
            assert sorted(came) == sorted(everything), "each once"
            assert sorted(came, key=itemgetter(0)) == sorted(came), "and in order"
            wait_until(lambda: daemon.metric("maskwatch_outbox_pending") == 0, 20, "none waits")
            assert daemon.metric("maskwatch_alerts_total", **sink, fate="accepted") == len(everything)
            assert "publishing works" in daemon.log()
            assert daemon.stop() == 0
        assert CANARY_PASSWORD not in daemon.log()
