"""The broker is unreachable for more than a day of the daemon's clock; no alert is lost."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from maskwatch.alerts.mqtt.topics import Topic
from tests.fakes.faked_clock import FakedClock
from tests.fakes.mosquitto import GatedMosquitto, Listener, Mosquitto
from tests.fakes.mqtt_alerts import TOPICS, alert, alerts_of, incidents_of, violation_topic
from tests.fakes.quick_daemon import IDLE_CAMERA, KEY, QuickDaemon, channel, wait_started
from tests.fakes.samples import change
from tests.fakes.thrifty_recorder import policy_environment
from tests.fakes.waiting import wait_until
from tests.fakes.web_peer import WebPeer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

VISITS = 120
DAY = 24 * 3600
RATE = 40


def shown(listener: Listener, topic: Topic, **names: str) -> Any:
    """Return the content of a retained topic."""
    return json.loads(listener.wait_for(TOPICS.of(topic, **names), seconds=60).payload)


@pytest.mark.long
@pytest.mark.sweep
def test_a_broker_away_for_a_day_receives_all_alerts_in_order_and_the_state(
    tmp_path: Path,
) -> None:
    guards = WebPeer()
    with FakedClock(tmp_path) as clock, GatedMosquitto(tmp_path) as broker:
        broker.admit()
        more = (
            f"mqtt: {{port: {broker.port}, commands: true}}\n"
            f"people: [{channel('guards', guards.port, violations='false')}]"
        )
        with QuickDaemon(tmp_path, IDLE_CAMERA, more, {**clock.env, **KEY}) as daemon:
            wait_started(daemon)
            wait_until(
                lambda: daemon.metric("maskwatch_sink_ready", sink="mqtt") == 1,
                60,
                "it is connected",
            )
            broker.kill()  # its retained messages are lost
            with daemon.connect_worker("door") as worker:
                for number, offset in ((1, 0), (2, 7 * 3600), (3, 26 * 3600)):
                    clock.jump_to(offset)
                    time.sleep(1.5)  # until every process sees the jump
                    for index in range(VISITS):
                        worker.send(change(index, number, closed=number == 3 and index > 0))
                    worker.wait(number * VISITS)
                sink = {"sink": "mqtt"}
                wait_until(
                    lambda: daemon.metric("maskwatch_outbox_pending", **sink) == 3 * VISITS + 1,
                    30,
                    "the metric counts the alerts and the incident of the backlog",
                )
                assert daemon.metric("maskwatch_outbox_oldest_seconds", **sink) > 25 * 3600
                assert daemon.metric("maskwatch_sink_ready", **sink) == 0
                assert "alerts wait for delivery" in guards.wait(1, 30)[0].body.decode()

                broker.start()
                with Listener(broker.port) as listener:
                    broker.admit()
                    every = {alert(i, n) for i in range(VISITS) for n in (1, 2, 3)}
                    listener.wait(lambda _: set(alerts_of(listener)) >= every, 120)
                    received = sorted(alerts_of(listener), key=itemgetter(0))
                    for _, group in groupby(received, key=itemgetter(0)):
                        assert [number for _, number in group] == [1, 2, 3]
                    expiries = [
                        each.expiry for each in listener.messages if each.topic == violation_topic()
                    ]
                    assert min(expiries) > DAY - 600, "a message expires a day after its delivery"

                    assert listener.wait_for(TOPICS.of(Topic.STATUS), seconds=60).payload == b"online"
                    command = TOPICS.of(Topic.CAMERA_COMMAND, camera="door", verb="snooze")
                    listener.publish(command, b'{"id": "after", "seconds": 0}')
                    result = shown(listener, Topic.COMMAND_RESULT)
                    assert (result["id"], result["ok"]) == ("after", True), "commands are received again"
                    assert shown(listener, Topic.CAMERA_STATE, camera="door")["state"] == "disabled"
                    listener.wait(lambda _: len(set(incidents_of(listener))) == 2, 60)
                    opened, closed = dict.fromkeys(incidents_of(listener))  # one may be received twice
                    assert (opened.kind, opened.change, opened.number) == ("backlog", "opened", 1)
                    assert closed == replace(opened, change="closed", number=2), "the same id"
                    wait_until(
                        lambda: daemon.metric("maskwatch_outbox_pending") == 0, 30, "none is pending"
                    )
                    assert daemon.metric("maskwatch_outbox_oldest_seconds", **sink) == 0
                with Listener(broker.port) as late:
                    open_now = shown(late, Topic.OPEN_VIOLATIONS, camera="door")
                    assert [each["id"] for each in open_now["violations"]] == [alert(0)[0]]
                    wait_until(
                        lambda: shown(late, Topic.NODE_OPEN_INCIDENTS)["count"] == 0,
                        60,
                        "no incident is open: the list may follow the alert",
                    )
            assert daemon.stop() == 0
    guards.close()


def connected_at(broker: Mosquitto) -> int:
    """Return when the connection that published the first alert began (whole seconds since 1970)."""
    before, _, _ = broker.log().partition(violation_topic())
    lines = [
        line for line in before.splitlines() if "connected from" in line and "as maskwatch-" in line
    ]
    return int(lines[-1].partition(":")[0])


@pytest.mark.long
def test_a_backlog_is_delivered_no_faster_than_the_rate_limit(
    tmp_path: Path,
) -> None:
    """A burst of one second's alerts, then the limit: a slow machine can only be later."""
    env = policy_environment(rate=RATE)
    everything = [alert(index) for index in range(6 * RATE)]
    broker = GatedMosquitto(tmp_path)
    more = f"mqtt: {{port: {broker.port}, window: {len(everything)}}}"
    with QuickDaemon(tmp_path, IDLE_CAMERA, more, env) as daemon:
        wait_started(daemon)
        with daemon.connect_worker("door") as worker:
            for index in range(len(everything)):
                worker.send(change(index, closed=True))
            worker.wait(len(everything), 60)
        with broker, Listener(broker.port) as listener:
            broker.admit()
            listener.wait(lambda _: len(alerts_of(listener)) >= len(everything), 120)
            assert sorted(alerts_of(listener)) == sorted(everything), "each once"
            times = [each.at for each in listener.messages if each.topic == violation_topic()]
            began = connected_at(broker)
            for number, at in enumerate(times, 1):
                assert at >= began + (number - RATE) / RATE, f"alert {number} is too early"
            wait_until(lambda: daemon.metric("maskwatch_outbox_pending") == 0, 30, "none is pending")
            assert daemon.stop() == 0
