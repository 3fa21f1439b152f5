"""Cameras with an unusable picture: each is blind, with its reason, and is one incident."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskwatch.domain import BlindReason, IncidentKind
from maskwatch.ipc.control import CameraReport
from maskwatch.lab.rtsp import RtspServer
from tests.fakes.clips import write_clip
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.mqtt_alerts import incidents_of
from tests.fakes.quick_daemon import QuickDaemon
from tests.fakes.views import FAULTY_VIEWS, scene
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

RATE = 10
LEARNT = 20
"""Analysed pictures, one a second, from which a worker learns its camera's usual view."""


def clip(path: Path, reason: BlindReason | None) -> Path:
    """Write a clip of the room with a fault of the picture; a frozen one repeats identical bytes."""
    render = FAULTY_VIEWS[reason] if reason else lambda at: scene(moment=at)
    # An encoder gives equal pictures different bytes: a frozen clip has a single one, and is looped.
    count = 1 if reason is BlindReason.FROZEN else 3 * RATE
    images = [render(number / RATE) for number in range(count)]
    return write_clip(path, images, rate=RATE, gop=1 if reason is BlindReason.FROZEN else RATE)


@pytest.mark.long
@pytest.mark.sweep
def test_a_frozen_covered_blurred_or_turned_camera_is_one_blind_incident(
    tmp_path: Path,
) -> None:
    healthy = clip(tmp_path / "healthy.mp4", None)
    faulty = {reason: clip(tmp_path / f"{reason}.mp4", reason) for reason in FAULTY_VIEWS}
    with RtspServer() as server, Mosquitto(tmp_path) as broker, Listener(broker.port) as listener:
        for reason in FAULTY_VIEWS:
            server.add(reason, healthy)
        cameras = "\n".join(
            f"  - {{name: {reason}, url: '{server.url(reason)}', rate: 1}}" for reason in FAULTY_VIEWS
        )
        more = f"mqtt: {{port: {broker.port}}}\nsupervision: {{blind_after: 1}}"
        with QuickDaemon(tmp_path, cameras, more) as daemon:
            daemon.wait_ready(90)

            def reports() -> dict[str, CameraReport]:
                return {report.name: report for report in daemon.status().cameras}

            def all_live() -> bool:
                return {str(each.state) for each in reports().values()} == {"live"}

            wait_until(all_live, 90, "all are live")
            server.switch(BlindReason.FROZEN, faulty[BlindReason.FROZEN])  # takes half a minute
            others = FAULTY_VIEWS.keys() - {BlindReason.FROZEN}
            wait_until(
                lambda: min(reports()[reason].frames for reason in others) >= LEARNT,
                90,
                "the usual views of the others are learnt",
            )
            for reason in others:
                server.switch(reason, faulty[reason])
            listener.wait(lambda _: all(incidents_of(listener, reason) for reason in FAULTY_VIEWS), 120)
            seen = {name: (str(each.state), each.reason) for name, each in reports().items()}
            assert seen == {reason: ("blind", reason) for reason in FAULTY_VIEWS}

            for reason in FAULTY_VIEWS:
                server.switch(reason, healthy)
            listener.wait(lambda _: all(len(incidents_of(listener, r)) > 1 for r in FAULTY_VIEWS), 120)
            wait_until(all_live, 60, "all are live again")
            assert not daemon.status().incidents
            assert daemon.stop() == 0
        for reason in FAULTY_VIEWS:
            opened, closed = incidents_of(listener, reason)
            assert (opened.kind, opened.reason) == (IncidentKind.CAMERA_BLIND, reason)
            assert (opened.number, opened.change) == (1, "opened")
            assert (closed.id, closed.number, closed.change) == (opened.id, 2, "closed")
