"""Trouble reaches people by the broker: once when it begins, once when it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskwatch.testing.rtsp import RtspServer
from tests.alerts.broker import Listener, Mosquitto
from tests.e2e.daemon import wait_until
from tests.fakes.clips import make_clip
from tests.faults.quick import QuickDaemon

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


def told(listener: Listener) -> list[tuple[str, int, str]]:
    """Id, number and kind of every change of an incident about an offline camera, each once."""
    alerts = [heard for heard in listener.heard if heard.topic == "maskwatch/test/camera/a/incident"]
    bodies = [json.loads(heard.payload) for heard in alerts]
    found = [(b["id"], b["number"], b["change"]) for b in bodies if b["kind"] == "camera_offline"]
    return list(dict.fromkeys(found))


def test_a_camera_that_goes_offline_and_comes_back_is_one_incident_with_its_end(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=50, rate=10, gop=10)
    broker = Mosquitto(tmp_path)
    broker.start()
    listener = Listener(broker.port)
    more = f"mqtt: {{port: {broker.port}}}\nsupervision: {{offline_after: 3}}"
    try:
        with RtspServer() as server:
            server.add("a", clip)
            camera = f"  - {{name: a, url: '{server.url('a')}', stall_timeout: 2}}"
            with QuickDaemon(tmp_path, camera, more) as daemon:
                daemon.wait_ready(90)
                wait_until(lambda: daemon.state_of("a") == "live", 90, "the camera is live")
                # A slow start may have been an incident of its own.
                wait_until(lambda: daemon.status().incidents == (), 30, "nothing is wrong")
                listener.wait(lambda _: len(told(listener)) % 2 == 0, 30)
                before = len(told(listener))
                server.faults("a").close = True
                server.disconnect("a")
                listener.wait(lambda _: len(told(listener)) == before + 1, 60)
                server.faults("a").clear()
                listener.wait(lambda _: len(told(listener)) == before + 2, 120)
                wait_until(lambda: daemon.state_of("a") == "live", 60, "the camera is live again")
                assert daemon.status().incidents == ()
                assert daemon.stop() == 0
        (began, first, opened), (ended, second, closed) = told(listener)[before:]
        assert began == ended
        assert (first, opened, second, closed) == (1, "opened", 2, "closed")
    finally:
        listener.close()
        broker.stop()
