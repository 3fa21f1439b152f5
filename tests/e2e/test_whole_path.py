"""From an RTSP camera to a stored violation, a delivered alert and a scraped metric."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskwatch.alerts.mqtt.topics import Topics
from maskwatch.domain import ChangeKind
from maskwatch.lab.listener import Listener
from maskwatch.lab.rtsp import RtspServer
from tests.fakes.daemon import Daemon
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.waiting import wait_until

pytestmark = pytest.mark.faults


def test_a_visitor_without_a_mask_is_stored_delivered_and_counted_once(
    tmp_path: Path, visitor: Path, mosquitto: Mosquitto
) -> None:
    topics = Topics("maskwatch", "test")
    with RtspServer(users={"viewer": "s3cret-word"}) as server:
        server.add("door", visitor, loop=False, start="manual", hold_last=True)
        url = f"rtsp://{server.host}:{server.port}/door"
        camera = f"  - {{name: door, url: '{url}', username: viewer, password: '${{PASSWORD}}'}}"
        mqtt = f"mqtt: {{port: {mosquitto.port}}}"
        with (
            Listener("127.0.0.1", mosquitto.port, topics) as listener,
            Daemon(tmp_path, camera, mqtt, {"PASSWORD": "s3cret-word"}) as daemon,
        ):
            daemon.wait_ready()
            wait_until(lambda: daemon.state_of("door") == "live", 20, "the camera is live")
            server.play("door")
            opened = listener.next(30)
            closed = listener.next(30)
            while closed is not None and closed.alert.change is ChangeKind.UPDATED:
                closed = listener.next(30)
            assert opened is not None
            assert closed is not None
            assert (opened.alert.change, closed.alert.change) == (ChangeKind.OPENED, ChangeKind.CLOSED)
            assert opened.alert.id == closed.alert.id
            assert daemon.metric("maskwatch_violations_total", camera="door") == 1

            rows = [
                json.loads(line)
                for line in daemon.run("events list", "--format", "jsonl").stdout.splitlines()
            ]
            assert [row["id"] for row in rows] == [str(opened.alert.id)]
            pictures = list(daemon.data.glob("pictures/**/*.jpg"))
            assert any(str(opened.alert.id) in picture.name for picture in pictures)

            children = daemon.children()
            assert len(children) >= 2
            assert daemon.stop() == 0
            assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
            assert not list(daemon.folder.rglob("*.tmp*"))
            assert not list(daemon.runtime.glob("*.sock"))
