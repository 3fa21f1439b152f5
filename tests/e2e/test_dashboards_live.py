"""A real Prometheus scrapes the real daemon: dashboards have data, and change with a fault."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from maskwatch.testing.rtsp import RtspServer
from tests.alerts.broker import Mosquitto
from tests.deploy.prometheus import Prometheus, empty
from tests.deploy.queries import panel_queries, record_queries, variable_queries
from tests.e2e.daemon import Daemon, wait_until

pytestmark = pytest.mark.faults

CAMERA = 'maskwatch_camera_state{camera="door",state="live"}'
READY = 'maskwatch_sink_ready{sink="mqtt"}'


def value(prometheus: Prometheus, expr: str) -> float:
    """The value of an expression's only series, NaN if there is none."""
    found = prometheus.ask(expr)
    return float(found[0]["value"][1]) if found else float("nan")


@pytest.mark.timeout(240)
def test_every_panel_shows_the_living_daemon_and_its_faults(
    tmp_path: Path, visitor: Path, mosquitto: Mosquitto
) -> None:
    with RtspServer() as server:
        server.add("door", visitor, loop=False, start="manual", hold_last=True)
        camera = f"  - {{name: door, url: 'rtsp://{server.host}:{server.port}/door'}}"
        mqtt = f"mqtt: {{port: {mosquitto.port}, ack_timeout: 2}}"
        with Daemon(tmp_path, camera, mqtt) as daemon:
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
                silent = empty(prometheus, queries)
                deadline = time.monotonic() + 30
                while silent and time.monotonic() < deadline:
                    time.sleep(1)
                    silent = empty(prometheus, queries)
                assert silent == []
                for query in variable_queries():
                    selector = query.concrete().removeprefix("label_values(").rsplit(",", 1)[0]
                    assert prometheus.ask(selector), query.where
                check_text(daemon)
                mosquitto.stop()
                wait_until(lambda: value(prometheus, READY) == 0, 30, "the sink is not ready")
                server.offline()
                wait_until(lambda: value(prometheus, CAMERA) == 0, 60, "the camera is gone")
                mosquitto.start()
                wait_until(lambda: value(prometheus, READY) == 1, 90, "the sink is ready again")
            finally:
                prometheus.close()


def check_text(daemon: Daemon) -> None:
    """Prometheus's own linter has nothing to say of what the daemon serves."""
    text = daemon.fetch("metrics").encode()
    command = ["promtool", "check", "metrics"]
    checked = subprocess.run(command, input=text, capture_output=True, check=False, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, b"")
