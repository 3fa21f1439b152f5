"""Cameras that send pictures of nothing: each is found blind, with its reason, and told once."""

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
from tests.fakes.views import SPOILT, scene
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

RATE = 10
LEARNT = 20
"""Analysed pictures, one a second, after which a worker knows its camera's usual view."""


def clip(path: Path, reason: BlindReason | None) -> Path:
    """A clip of the room, well or not; one picture of a frozen one is to the bit like the next."""
    paint = SPOILT[reason] if reason else lambda at: scene(moment=at)
    images = [paint(number / RATE) for number in range(3 * RATE)]
    return write_clip(path, images, rate=RATE, gop=1 if reason is BlindReason.FROZEN else RATE)


@pytest.mark.long
def test_a_frozen_covered_blurred_or_turned_camera_is_one_blind_incident(
    tmp_path: Path,
) -> None:
    well = clip(tmp_path / "well.mp4", None)
    spoilt = {reason: clip(tmp_path / f"{reason}.mp4", reason) for reason in SPOILT}
    with RtspServer() as server, Mosquitto(tmp_path) as broker, Listener(broker.port) as listener:
        for reason in SPOILT:
            server.add(reason, well)
        cameras = "\n".join(
            f"  - {{name: {reason}, url: '{server.url(reason)}', rate: 1}}" for reason in SPOILT
        )
        more = f"mqtt: {{port: {broker.port}}}\nsupervision: {{blind_after: 1}}"
        with QuickDaemon(tmp_path, cameras, more) as daemon:
            daemon.wait_ready(90)

            def reports() -> dict[str, CameraReport]:
                return {report.name: report for report in daemon.status().cameras}

            def all_live() -> bool:
                return {str(each.state) for each in reports().values()} == {"live"}

            wait_until(all_live, 90, "all are live")
            server.switch(BlindReason.FROZEN, spoilt[BlindReason.FROZEN])  # that takes half a minute
            others = SPOILT.keys() - {BlindReason.FROZEN}
            wait_until(
                lambda: min(reports()[reason].frames for reason in others) >= LEARNT,
                90,
                "the others' usual views are learnt",
            )
            for reason in others:
                server.switch(reason, spoilt[reason])
            listener.wait(lambda _: all(incidents_of(listener, reason) for reason in SPOILT), 120)
            seen = {name: (str(each.state), each.reason) for name, each in reports().items()}
            assert seen == {reason: ("blind", reason) for reason in SPOILT}

            for reason in SPOILT:
                server.switch(reason, well)
            listener.wait(lambda _: all(len(incidents_of(listener, r)) > 1 for r in SPOILT), 120)
            wait_until(all_live, 60, "all are live again")
            assert not daemon.status().incidents
            assert daemon.stop() == 0
        for reason in SPOILT:
            opened, closed = incidents_of(listener, reason)
            assert (opened.kind, opened.reason) == (IncidentKind.CAMERA_BLIND, reason)
            assert (opened.number, opened.change) == (1, "opened")
            assert (closed.id, closed.number, closed.change) == (opened.id, 2, "closed")
