"""A sink that hangs, refuses or fails its TLS checks delays no other sink and loses no alert."""

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
"""Retained publications that may be in flight beside the alerts."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


class HangingPeer:
    """A web server that reads requests and answers only once it is `released`."""

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
def hanging() -> Iterator[HangingPeer]:
    peer = HangingPeer()
    yield peer
    peer.close()


@pytest.fixture
def good() -> Iterator[WebPeer]:
    peer = WebPeer()
    yield peer
    peer.close()


@pytest.mark.long
def test_a_webhook_that_hangs_or_refuses_delays_no_other_sink(
    tmp_path: Path, hanging: HangingPeer, good: WebPeer
) -> None:
    closed = free_port()
    with Mosquitto(tmp_path) as broker, Listener(broker.port) as listener:
        channels = ", ".join(
            channel(name, port, burst=99, ended="true")
            for name, port in (
                ("hanging", hanging.port),
                ("hanging-2", hanging.port),
                ("hanging-3", hanging.port),
                ("closed", closed),
                ("good", good.port),
            )
        )
        more = f"mqtt: {{port: {broker.port}}}\npeople: [{channels}]"
        with QuickDaemon(tmp_path, IDLE_CAMERA, more, KEY, kill_after=20.0) as daemon:
            wait_started(daemon)
            with daemon.connect_worker("door") as worker:
                for index in range(3):
                    worker.send(change(index))
                    worker.send(change(index, 2, closed=True))
                worker.wait(6)
            listener.wait(lambda _: len(alerts_of(listener)) == 6, 60)
            good.wait(6, 60)

            sinks = {"mqtt": 0, "people-good": 0, "people-hanging": 6, "people-closed": 6}

            def pending() -> dict[str, float]:
                return {sink: daemon.metric("maskwatch_outbox_pending", sink=sink) for sink in sinks}

            wait_until(lambda: pending() == sinks, 30, "pending alerts are counted by sink")
            assert not hanging.peer.taken()
            assert daemon.stop() == 0, "they do not delay the end of the daemon"
            assert "took too long to end" not in daemon.log()


@pytest.mark.long
def test_alerts_wait_while_the_certificate_or_password_of_the_broker_is_wrong(
    tmp_path: Path, certificates: Path
) -> None:
    port, plain = free_port(), free_port()
    entry, *user_lines = password_lines(tmp_path)
    users = tmp_path / "passwords"
    both = users.read_text()
    without_node = "".join(line for line in both.splitlines(True) if not line.startswith("node:"))
    more = (
        f"mqtt: {{port: {port}, tls: true, ca_file: '{certificates}/ca.crt', ack_timeout: 2,"
        " username: node, password: '${BROKER}'}"
    )

    def broker(certificate: str, users_text: str) -> GatedMosquitto:
        users.write_text(users_text)
        lines = [entry, *user_lines, *tls_lines(certificates, certificate)[1:]]
        return GatedMosquitto(tmp_path, [*lines, f"listener {plain} 127.0.0.1"], port=port)

    with QuickDaemon(tmp_path, IDLE_CAMERA, more, {"BROKER": CANARY_PASSWORD}) as daemon:
        wait_started(daemon)
        with daemon.connect_worker("door") as worker:
            wrong = (
                ("expired", both, "certificate has expired"),
                ("good", without_node, "not authorized"),
            )
            for index, (certificate, users_text, message) in enumerate(wrong):
                worker.send(change(index))
                assert worker.wait(index + 1)[-1].stored
                with broker(certificate, users_text):
                    wait_until(lambda text=message: text in daemon.log(), 60, message)
        wait_until(lambda: daemon.metric("maskwatch_outbox_pending", sink="mqtt") == 2, 20, "both wait")
        assert daemon.metric("maskwatch_sink_ready") == 0
        with (
            broker("good", both) as repaired,
            Listener(plain, username="reader", password=CANARY_PASSWORD) as listener,
        ):
            repaired.admit()
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

        def sent_ids() -> list[str]:
            bodies = [
                json.loads(body)
                for name, body in list(silent.seen.publications)
                if name == violation_topic()
            ]
            return [body["id"] for body in bodies]

        wait_until(lambda: len(sent_ids()) > len(set(sent_ids())), 60, "an alert is sent again")
        wait_until(lambda: daemon.metric("maskwatch_outbox_pending", sink="mqtt") == 40, 20, "all wait")
        assert "no acknowledgement" in daemon.log()
        assert silent.seen.max_pending <= 3 + STATE, "no more than the window is in flight"
        silent.close()
        with GatedMosquitto(tmp_path, port=silent.port) as broker, Listener(broker.port) as listener:
            broker.admit()
            listener.wait(lambda _: set(alerts_of(listener)) == everything, 90)
            wait_until(lambda: daemon.metric("maskwatch_outbox_pending") == 0, 20, "no alert is pending")
            assert daemon.stop() == 0


def dropped(broker: Mosquitto) -> list[str]:
    """Return the broker's log lines about publications of the daemon that it dropped."""
    text = "Denied PUBLISH from maskwatch-test"
    return [line for line in broker.log().splitlines() if text in line]


@pytest.mark.long
@pytest.mark.sweep
def test_no_alert_counts_as_delivered_while_an_acl_drops_what_it_acknowledges(
    tmp_path: Path,
) -> None:
    """An MQTT 3.1.1 broker acknowledges what it drops: only the canary detects it."""
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
            wait_until(lambda: len(dropped(broker)) > 2, 90, "the canary is retried")
            sink = {"sink": "mqtt"}
            wait_until(
                lambda: daemon.metric("maskwatch_outbox_pending", **sink) == len(everything),
                20,
                "all of them are pending",
            )
            assert daemon.metric("maskwatch_sink_ready", **sink) == 0
            assert daemon.metric("maskwatch_alerts_total", **sink, fate="accepted") == 0
            assert daemon.log().count("drops what is published") == 1
            assert not [line for line in dropped(broker) if TOPICS.of(Topic.CANARY) not in line]
            assert listener.messages == []

            broker.admit()
            listener.wait(lambda _: len(alerts_of(listener)) == len(everything), 120)
            received = alerts_of(listener)
            assert sorted(received) == sorted(everything), "each once"
            assert sorted(received, key=itemgetter(0)) == sorted(received), "in order"
            wait_until(lambda: daemon.metric("maskwatch_outbox_pending") == 0, 20, "no alert is pending")
            assert daemon.metric("maskwatch_alerts_total", **sink, fate="accepted") == len(everything)
            assert "publishing works" in daemon.log()
            assert daemon.stop() == 0
        assert CANARY_PASSWORD not in daemon.log()
