"""Alerts that a peer refuses are parked, counted and listed; other alerts are delivered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maskwatch.lab.rtsp import RtspServer
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.mqtt_alerts import alert, alerts_of, violation_topic
from tests.fakes.quick_daemon import IDLE_CAMERA, KEY, QuickDaemon, channel, wait_started
from tests.fakes.samples import change, large_change
from tests.fakes.thrifty_recorder import policy_environment
from tests.fakes.waiting import wait_until
from tests.fakes.web_peer import WebPeer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


PARK_SOON = policy_environment(max_strikes=1, refused_for=0, failing_for=0)
"""The environment of a daemon that parks what is refused once while others are accepted."""


@pytest.fixture
def guards() -> Iterator[WebPeer]:
    peer = WebPeer()
    yield peer
    peer.close()


def accepted_alerts(peer: WebPeer) -> list[tuple[str, int]]:
    """Return violation and number of each alert that a webhook accepted."""
    alerts = [alert for request in peer.taken() for alert in json.loads(request.body)["alerts"]]
    return [(alert["id"], alert["number"]) for alert in alerts]


def listed(daemon: QuickDaemon, *options: str) -> list[dict[str, Any]]:
    done = daemon.run("events list", "--format", "jsonl", *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.long
def test_a_refused_visit_is_parked_whole_and_shown_and_others_go_on(
    tmp_path: Path, visitor: Path, guards: WebPeer
) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic readwrite #\ntopic deny {violation_topic('door')}\n")
    with (
        Mosquitto(tmp_path, ["allow_anonymous true", f"acl_file {rules}"]) as broker,
        Listener(broker.port) as listener,
        RtspServer() as server,
    ):
        for name in ("door", "yard"):
            server.add(name, visitor, loop=False, start="manual", hold_last=True)
        cameras = "\n".join(f"  - {{name: {n}, url: '{server.url(n)}'}}" for n in ("door", "yard"))
        more = (
            f"mqtt: {{port: {broker.port}}}\n"
            f"people: [{channel('guards', guards.port, ended='true', burst=99)}]"
        )
        with QuickDaemon(tmp_path, cameras, more, KEY | PARK_SOON) as daemon:
            daemon.wait_ready(90)
            for name in ("door", "yard"):
                wait_until(lambda n=name: daemon.state_of(n) == "live", 90, f"{name} is live")
            for name in ("door", "yard"):
                server.play(name)
            sink = {"sink": "mqtt"}
            wait_until(
                lambda: daemon.metric("maskwatch_outbox_parked", **sink) == 2,
                90,
                "both changes of the violation at the door are parked",
            )
            listener.wait(lambda _: len(alerts_of(listener, "yard")) == 2, 60)
            guards.wait(4, 60)
            assert daemon.metric("maskwatch_alerts_total", **sink, fate="refused") >= 2
            assert daemon.metric("maskwatch_sink_ready", **sink) == 1
            (refused,) = listed(daemon, "--parked")
            assert refused["camera"] == "door"
            assert refused["alerts"] == {"delivered": 2, "parked": 2}
            shown = daemon.run("events show", refused["id"]).stdout
            assert "not authorized" in shown
            assert "an earlier change was refused" in shown or shown.count("not authorized") > 1
            assert daemon.stop() == 0
        assert alerts_of(listener) == []
        ((first, _), (second, _)) = alerts_of(listener, "yard")
        assert first == second != refused["id"]
        assert sorted(accepted_alerts(guards)) == sorted(
            (violation, number) for violation in (first, refused["id"]) for number in (1, 2)
        )


@pytest.fixture
def small_packets(tmp_path: Path) -> Iterator[Mosquitto]:
    """Run a broker that disconnects a client after a packet of more than 3000 bytes."""
    with Mosquitto(tmp_path, ["allow_anonymous true", "max_packet_size 3000"]) as broker:
        yield broker


@pytest.mark.long
def test_an_alert_larger_than_the_broker_accepts_is_parked_without_a_disconnect(
    tmp_path: Path, small_packets: Mosquitto
) -> None:
    more = f"mqtt: {{port: {small_packets.port}}}"
    with (
        Listener(small_packets.port) as listener,
        QuickDaemon(tmp_path, IDLE_CAMERA, more, PARK_SOON) as daemon,
    ):
        wait_started(daemon)
        with daemon.connect_worker("door") as worker:
            worker.send(large_change(0))
            worker.send(change(1, closed=True))
            worker.wait(2)
        listener.wait(lambda _: alerts_of(listener) == [alert(1)], 60)
        wait_until(lambda: daemon.metric("maskwatch_outbox_parked") == 1, 20, "it is parked")
        shown = daemon.run("events show", alert(0)[0]).stdout
        assert "the broker takes no more than 3000" in shown
        assert daemon.log().count("connected, publishing works") == 1
        assert daemon.stop() == 0


@pytest.mark.long
def test_an_alert_that_makes_a_broker_disconnect_holds_no_other_back(
    tmp_path: Path, small_packets: Mosquitto
) -> None:
    """MQTT 3.1.1 announces no limit: the alert is retried with growing pauses until it is parked."""
    more = f"mqtt: {{port: {small_packets.port}, version: '3.1.1'}}"
    with Listener(small_packets.port) as listener, QuickDaemon(tmp_path, IDLE_CAMERA, more) as daemon:
        wait_started(daemon)
        with daemon.connect_worker("door") as worker:
            worker.send(large_change(0))
            for index in range(1, 21):
                worker.send(change(index, closed=True))
                worker.wait(index + 1)
                time.sleep(0.1)
        expected = {alert(index) for index in range(1, 21)}
        listener.wait(lambda _: set(alerts_of(listener)) == expected, 90)
        assert "the connection is lost" in daemon.log()
        wait_until(lambda: daemon.metric("maskwatch_outbox_pending") <= 1, 20, "none of them is pending")
        assert daemon.stop() == 0


@pytest.mark.long
def test_a_webhook_that_refuses_one_violation_receives_all_others_in_digests(
    tmp_path: Path, guards: WebPeer
) -> None:
    bad, _ = alert(3)
    guards.judge = lambda request: 422 if bad in request.body.decode() else 200
    more = (
        "mqtt: {enabled: false}\n"
        f"people: [{channel('guards', guards.port, ended='true', burst=2, digest=1)}]"
    )
    with QuickDaemon(tmp_path, IDLE_CAMERA, more, KEY | PARK_SOON) as daemon:
        wait_started(daemon)
        indexes = range(1, 11)
        with daemon.connect_worker("door") as worker:
            for index in indexes:
                worker.send(change(index))
            worker.wait(10)
            sink = {"sink": "people-guards"}
            wait_until(lambda: daemon.metric("maskwatch_outbox_parked", **sink) == 1, 60, "it is parked")
            for index in indexes:
                worker.send(change(index, 2, closed=True))
            worker.wait(20)
        expected = {alert(i, n) for i in indexes if i != 3 for n in (1, 2)}
        wait_until(lambda: set(accepted_alerts(guards)) == expected, 60, "all others are accepted")
        wait_until(
            lambda: daemon.metric("maskwatch_outbox_parked", **sink) == 2,
            20,
            "its end too",
        )
        assert len(accepted_alerts(guards)) == len(expected), "each once"
        assert any(len(json.loads(request.body)["alerts"]) > 1 for request in guards.taken())
        assert daemon.metric("maskwatch_outbox_pending") == 0
        assert daemon.stop() == 0
