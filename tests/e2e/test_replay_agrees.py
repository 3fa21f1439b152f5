"""The daemon, fed a clip over RTSP, reports the violations that a replay of the file reports."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from maskwatch.lab.rtsp import RtspServer
from maskwatch.lab.scenes import Scene, default_heads, render
from maskwatch.lab.scenes.scene import Figure, Step
from maskwatch.lab.truth import Wear
from tests.fakes.daemon import Daemon
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

_ZONES = (
    "    zones:\n"
    "      - {name: left, rule: required, polygon: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}\n"
    "      - {name: right, rule: required, polygon: [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]}\n"
)
_TOLERANCE_S = 1.5  # seconds: the daemon samples other frames than the replay, and fewer under load


class ReportedPerson(NamedTuple):
    """A person's violation; `came` is in seconds after the first person."""

    zone: str
    verdict: str
    reason: str
    came: float


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Render a bare visitor on the left, then a masked and a bare one on the right, then no one."""

    def walk(start: float, side: float) -> tuple[Step, ...]:
        steps = ((0.0, 7.0), (3.6, 3.2), (5.2, 1.1))
        return tuple(Step(start + at, side * 0.14 * z, z) for at, z in steps)

    figures = (
        Figure(walk(0.5, -1), face=0),
        Figure(walk(2.5, 1), Wear.MASKED, face=1),
        Figure(walk(6.5, 1), face=1),
    )
    path = tmp_path / "visitors.mp4"
    scene = Scene(name="visitors", kind="e2e", seconds=17, figures=figures)
    render(scene, path, size=(960, 540), fps=10.0, faces=default_heads())
    return path


def _reported(violations: list[dict[str, str]]) -> list[ReportedPerson]:
    violations = sorted(violations, key=lambda one: one["first_seen"])
    came = [datetime.fromisoformat(one["first_seen"]) for one in violations]
    return [
        ReportedPerson(one["zone"], one["verdict"], one["close_reason"], (at - came[0]).total_seconds())
        for one, at in zip(violations, came, strict=True)
    ]


@pytest.mark.long
def test_the_daemon_reports_over_rtsp_what_a_replay_of_the_file_reports(
    tmp_path: Path, clip: Path
) -> None:
    """The same people, places, verdicts and ends, in the same order, seen at the same times."""
    with RtspServer() as server:
        server.add("hall", clip, loop=False, start="manual", hold_last=True)
        camera = f"  - name: hall\n    url: 'rtsp://{server.host}:{server.port}/hall'\n{_ZONES}"
        with Daemon(tmp_path, camera) as daemon:
            replayed = daemon.run("replay", str(clip), "--json").stdout.splitlines()
            closed = [json.loads(line)["change"] for line in replayed]
            expected = _reported([one["violation"] for one in closed if one["kind"] == "closed"])

            daemon.wait_ready()
            wait_until(lambda: daemon.state_of("hall") == "live", 30, "the camera is live")
            server.play("hall")

            def stored() -> list[dict[str, str]]:
                lines = daemon.run("events list", "--format", "jsonl").stdout.splitlines()
                return [json.loads(line) for line in lines]

            def all_closed() -> bool:
                return len(stored()) >= len(expected) and all(one["ended"] for one in stored())

            wait_until(all_closed, 60, "every violation is closed")
            reported = _reported(stored())
            assert daemon.stop() == 0
    assert [(one.zone, one.verdict, one.reason) for one in expected] == [
        ("left", "no_mask", "left"),
        ("right", "no_mask", "left"),
    ]
    assert [one[:3] for one in reported] == [one[:3] for one in expected]
    assert [one.came for one in reported] == pytest.approx(
        [one.came for one in expected], abs=_TOLERANCE_S
    )
