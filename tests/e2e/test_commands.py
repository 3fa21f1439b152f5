"""Commands to the real daemon: a snapshot, a snooze, an acknowledgement."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from maskwatch.alerts.mqtt.topics import Topic, Topics
from maskwatch.lab.broker import free_port
from maskwatch.lab.rtsp import RtspServer
from tests.fakes.daemon import Daemon
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.waiting import wait_until
from tests.fakes.web_peer import WebPeer

pytestmark = pytest.mark.faults

TOPICS = Topics("maskwatch", "test")
RESULT = TOPICS.of(Topic.COMMAND_RESULT)
SNAPSHOT = TOPICS.of(Topic.SNAPSHOT, camera="door")
VIOLATION = TOPICS.of(Topic.VIOLATION, camera="door")
OPEN = TOPICS.of(Topic.OPEN_VIOLATIONS, camera="door")


class Operator:
    """Sends commands and reads their results."""

    def __init__(self, port: int) -> None:
        self.listener = Listener(port)
        self._sent = 0

    def send(self, verb: str, **payload: object) -> dict[str, Any]:
        """Send a command to the camera, or to the node if it has a target; return its result."""
        self._sent += 1
        key = f"op-{self._sent}"
        node = "target" in payload
        topic = (
            TOPICS.of(Topic.NODE_COMMAND, verb=verb)
            if node
            else TOPICS.of(Topic.CAMERA_COMMAND, camera="door", verb=verb)
        )
        self.listener.publish(topic, json.dumps({"id": key, **payload}).encode())

        def has_result(messages: list[Any]) -> bool:
            return any(each.topic == RESULT and key in each.payload.decode() for each in messages)

        found = [each for each in self.listener.wait(has_result, 30) if has_result([each])]
        result: dict[str, Any] = json.loads(found[0].payload)
        return result

    def open_now(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.listener.wait_for(OPEN).payload)
        return shown


@pytest.fixture
def operator(mosquitto: Mosquitto) -> Iterator[Operator]:
    opened = Operator(mosquitto.port)
    yield opened
    opened.listener.close()


def stored(daemon: Daemon) -> list[dict[str, Any]]:
    listed = daemon.run("events list", "--format", "jsonl").stdout
    return [json.loads(line) for line in listed.splitlines()]


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_snapshot_is_taken_and_a_snooze_survives_a_restart(
    tmp_path: Path, visitor: Path, mosquitto: Mosquitto, operator: Operator
) -> None:
    more = f"mqtt: {{port: {mosquitto.port}, commands: true, home_assistant: true}}"
    with RtspServer() as server:
        server.add("door", visitor, loop=False, start="manual", hold_last=True)
        camera = f"  - {{name: door, url: 'rtsp://{server.host}:{server.port}/door'}}"
        with Daemon(tmp_path, camera, more) as daemon:
            daemon.wait_ready()
            wait_until(lambda: daemon.state_of("door") == "live", 40, "the camera is live")

            result = operator.send("snapshot")
            assert result["ok"], result
            picture = operator.listener.wait_for(SNAPSHOT)
            image = cv2.imdecode(np.frombuffer(picture.payload, np.uint8), cv2.IMREAD_COLOR)
            assert image is not None
            assert f"{len(picture.payload)} bytes" in result["detail"]
            assert "too many snapshots" in operator.send("snapshot")["detail"]

            result = operator.send("snooze", seconds=3600)
            assert result["ok"], result
            assert "snoozed until" in daemon.run("status").stdout
            assert daemon.stop() == 0
            daemon.start()
            daemon.wait_ready()
            wait_until(lambda: daemon.state_of("door") == "live", 40, "the camera is live again")
            assert "snoozed until" in daemon.run("status").stdout

            server.play("door")
            wait_until(lambda: bool(stored(daemon)), 60, "the visit is stored")
            violation = stored(daemon)[0]["id"]
            wait_until(lambda: bool(stored(daemon)[0]["ended"]), 60, "the visit is over")
            silenced = "maskwatch_changes_silenced_total"
            wait_until(lambda: daemon.metric(silenced, camera="door") >= 2, 20, "they are counted")
            assert daemon.metric("maskwatch_camera_snoozed", camera="door") == 1
            assert daemon.metric("maskwatch_violations_total", camera="door") == 1
            assert VIOLATION not in operator.listener.topics()
            assert any(b'"silent":1' in h.payload for h in operator.listener.messages if h.topic == OPEN)
            shown = daemon.run("events show", violation).stdout
            assert "none: the camera was snoozed when it began" in shown

            assert operator.send("snooze", seconds=0)["ok"]
            assert operator.send("acknowledge", target=violation)["detail"] == "acknowledged"
            counted = {"verb": "acknowledge", "result": "ok"}
            wait_until(
                lambda: daemon.metric("maskwatch_commands_total", **counted) == 1, 20, "it is counted"
            )

            server.offline()
            wait_until(lambda: daemon.state_of("door") != "live", 60, "the camera is gone")
            refused = operator.send("snapshot")
            assert not refused["ok"]
            assert "there is no picture to take" in refused["detail"]
            assert VIOLATION not in operator.listener.topics()
            assert daemon.stop() == 0


def http(url: str, method: str) -> tuple[int, str]:
    request = urllib.request.Request(url, method=method, data=b"" if method == "POST" else None)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status, answer.read().decode()


def escalation(daemon: Daemon, violation: str) -> str:
    """Return the last line of `events show` about the first change for the manager, if escalated."""
    first = daemon.run("events show", violation).stdout.split("Change 2")[0].split("people-manager")[1]
    return first.strip().splitlines()[-1] if "attempt 1" in first else ""


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_link_from_a_message_acknowledges_and_stops_the_escalation(
    tmp_path: Path, visitor: Path
) -> None:
    guards, manager = WebPeer(), WebPeer()
    key = "c4nary-key-of-thirty-two-characters-c4nary"
    more = (
        "mqtt: {enabled: false}\n"
        f"links: {{enabled: true, port: {free_port()}, key: '${{LINKS_KEY}}'}}\n"
        "people:\n"
        f"  - {{name: guards, webhook: 'http://127.0.0.1:{guards.port}/g', key: '${{HOOK_KEY}}'}}\n"
        f"  - {{name: manager, webhook: 'http://127.0.0.1:{manager.port}/m', key: '${{HOOK_KEY}}',"
        " incidents: false, unacknowledged_for: 30}"
    )
    environment = {"LINKS_KEY": key, "HOOK_KEY": "c4nary-hook-key"}
    with RtspServer() as server:
        for name in ("door", "yard"):
            server.add(name, visitor, loop=False, start="manual", hold_last=True)
        cameras = "\n".join(
            f"  - {{name: {name}, url: 'rtsp://{server.host}:{server.port}/{name}'}}"
            for name in ("door", "yard")
        )
        with Daemon(tmp_path, cameras, more, environment) as daemon:
            daemon.wait_ready()
            for name in ("door", "yard"):
                wait_until(lambda n=name: daemon.state_of(n) == "live", 40, f"{name} is live")
            server.play("door")
            message = json.loads(guards.wait(1, 60)[0].body)
            ((violation, link),) = message["acknowledge"].items()
            assert link in message["text"]
            assert http(link, "GET")[0] == 200
            assert stored(daemon)[0]["acknowledged_by"] is None, "a GET request acknowledges nothing"
            assert "It is acknowledged." in http(link, "POST")[1]
            assert "acknowledged before" in http(link, "POST")[1]
            assert stored(daemon)[0]["acknowledged_by"] == "link:guards"
            with pytest.raises(urllib.error.HTTPError, match="404"):
                http(link[:-1] + ("A" if link[-1] != "A" else "B"), "POST")

            server.play("yard")
            escalated = json.loads(manager.wait(1, 120)[0].body)
            assert [alert["camera"] for alert in escalated["alerts"]] == ["yard"]
            assert violation not in json.dumps(escalated)
            for each, ends in (
                (violation, "(acknowledged meanwhile, so not sent)"),
                (escalated["alerts"][0]["id"], "(answered 200)"),
            ):
                wait_until(lambda i=each, e=ends: escalation(daemon, i).endswith(e), 20, ends)
            assert daemon.stop() == 0
            assert "c4nary" not in daemon.log()
    guards.close()
    manager.close()
