"""A real Prometheus scrapes the real daemon: dashboards have data, and change with a fault."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from maskwatch.testing.rtsp import RtspServer
from tests.alerts.broker import Mosquitto
from tests.deploy.prometheus import Prometheus, empty
from tests.deploy.queries import alert_queries, panel_queries, record_queries, variable_queries
from tests.e2e.daemon import Daemon, wait_until

pytestmark = pytest.mark.faults

CAMERA = 'maskwatch_camera_state{camera="door",state="live"}'
READY = 'maskwatch_sink_ready{sink="mqtt"}'


def value(prometheus: Prometheus, expr: str) -> float:
    """The value of an expression's only series, NaN if there is none."""
    found = prometheus.ask(expr)
    return float(found[0]["value"][1]) if found else float("nan")


# Panels that must show one of the faults that the test induces.
CHANGED = {
    "maskwatch / fleet: Cameras live",
    "maskwatch / fleet: Cameras not live",
    "maskwatch / fleet: State of each camera",
    "maskwatch / fleet: Frames processed per second",
    "maskwatch / fleet: Lost connections",
    "maskwatch / fleet: Processes started anew",
    "maskwatch / fleet: Configuration",
    "maskwatch / fleet: Alerts waiting",
    "maskwatch / fleet: Open incidents",
    "maskwatch / alert delivery: Alerts waiting and parked",
    "maskwatch / alert delivery: Age of the oldest alert",
    "maskwatch / alert delivery: Sink ready",
    "maskwatch / alert delivery: Incidents",
}
# The rules that the faults are about; all others find theirs in tests/deploy, where numbers are made.
SPEAKING = {
    "MaskwatchCameraOffline",
    "MaskwatchConfigRefused",
    "MaskwatchCrashLoop",
    "MaskwatchSinkNotReady",
}


def speaking(prometheus: Prometheus) -> set[str]:
    """The rules whose expression holds, for whatever time."""
    return {query.where for query in alert_queries() if prometheus.ask(query.concrete())}


def shown(prometheus: Prometheus) -> dict[str, set[tuple[str, str]]]:
    """What each panel shows: (labels, value) of all its queries."""
    panels: dict[str, set[tuple[str, str]]] = {}
    for query in panel_queries():
        rows = prometheus.ask(query.concrete())
        panels.setdefault(query.where, set()).update(
            (str(r["metric"]), str(r["value"][1])) for r in rows
        )
    return panels


def crash(daemon: Daemon, times: int) -> None:
    """Kill the camera's process again and again, each time once there is a new one."""
    known: set[int] = set()
    while len(known) < times:
        pid = daemon.status().cameras[0].worker.pid
        if pid is not None and pid not in known:
            os.kill(pid, signal.SIGKILL)
            known.add(pid)
        time.sleep(0.2)


@pytest.mark.timeout(400)
def test_every_panel_shows_the_living_daemon_and_its_faults(
    tmp_path: Path, visitor: Path, mosquitto: Mosquitto
) -> None:
    with RtspServer() as server:
        server.add("door", visitor, loop=False, start="manual", hold_last=True)
        camera = f"  - {{name: door, url: 'rtsp://{server.host}:{server.port}/door'}}"
        more = f"mqtt: {{port: {mosquitto.port}, ack_timeout: 2}}\nsupervision: {{offline_after: 5}}"
        with Daemon(tmp_path, camera, more) as daemon:
            daemon.wait_ready()
            place = tmp_path / "prometheus"
            place.mkdir()
            prometheus = Prometheus(place, f"127.0.0.1:{daemon.metrics_port}")
            try:
                prometheus.wait_ready()
                wait_until(lambda: value(prometheus, CAMERA) == 1, 40, "the camera is live")
                server.play("door")
                told = 'maskwatch_alerts_total{sink="mqtt",fate="accepted"}'
                wait_until(lambda: value(prometheus, told) >= 2, 60, "the visit is told")
                queries = [*panel_queries(), *record_queries()]
                wait_until(lambda: empty(prometheus, queries) == [], 40, "every query has data")
                for query in variable_queries():
                    selector = query.concrete().removeprefix("label_values(").rsplit(",", 1)[0]
                    assert prometheus.ask(selector), query.where
                check_text(daemon)
                assert SPEAKING & speaking(prometheus) == set()
                before = shown(prometheus)

                mosquitto.stop()
                crash(daemon, 5)
                server.offline()
                daemon.config.write_text(daemon.config.read_text().replace("node: test", "node: ''"))
                assert daemon.run("reload").returncode == 3
                wait_until(lambda: speaking(prometheus) >= SPEAKING, 90, "every fault is found")

                def unmoved() -> set[str]:
                    after = shown(prometheus)
                    return {panel for panel in CHANGED if after[panel] == before[panel]}

                wait_until(lambda: unmoved() == set(), 60, "every panel shows its fault")
                mosquitto.start()
                wait_until(lambda: value(prometheus, READY) == 1, 90, "the sink is ready again")
                assert daemon.stop() == 0
                wait_until(lambda: "MaskwatchDown" in speaking(prometheus), 20, "its absence is noticed")
            finally:
                prometheus.close()


def check_text(daemon: Daemon) -> None:
    """Prometheus's own linter has nothing to say of what the daemon serves."""
    text = daemon.fetch("metrics").encode()
    command = ["promtool", "check", "metrics"]
    checked = subprocess.run(command, input=text, capture_output=True, check=False, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, b"")
