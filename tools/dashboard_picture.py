"""Runs the daemon with cameras, broker and Prometheus, injects failures and draws the dashboard.

    python -m tools.dashboard_picture docs/images/dashboard.png --minutes 8

Everything is real: `maskwatch run`, Mosquitto, Prometheus with the shipped rules; the picture shows what
Prometheus scraped. Needs the Debian packages of the tests and the extra `demo`.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from maskwatch.lab.rtsp import RtspServer
from maskwatch.lab.scenes import default_heads, demo_scenes, render
from tests.deploy.prometheus import Prometheus
from tests.fakes.daemon import Daemon
from tests.fakes.mosquitto import Mosquitto
from tools.draw_dashboard import BOARD, draw_board

ROWS = ("Now", "Cameras")


class Site:
    """Cameras that can go offline, broker, daemon and Prometheus."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        clips = _clips(folder)
        self.servers = {name: stack.enter_context(RtspServer()) for name in clips}
        for name, clip in clips.items():
            self.servers[name].add(name, clip, start="now")
        broker_folder = folder / "broker"
        broker_folder.mkdir()
        self.broker = Mosquitto(broker_folder)
        self.broker.start()
        stack.callback(self.broker.stop)
        cameras = "\n".join(
            f"  - {{name: {name}, url: 'rtsp://{server.host}:{server.port}/{name}', rate: 4}}"
            for name, server in self.servers.items()
        )
        more = f"mqtt: {{port: {self.broker.port}, ack_timeout: 2}}\nsupervision: {{offline_after: 20}}"
        self.daemon = stack.enter_context(Daemon(folder, cameras, more))
        self.daemon.wait_ready()
        series = folder / "prometheus"
        series.mkdir()
        self.prometheus = Prometheus(series, f"127.0.0.1:{self.daemon.metrics_port}")
        stack.callback(self.prometheus.close)
        self.prometheus.wait_ready()

    def crash(self, camera: str) -> None:
        """Kill a camera's process."""
        reports = {report.name: report for report in self.daemon.status().cameras}
        pid = reports[camera].worker.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


def _clips(folder: Path) -> dict[str, Path]:
    clips: dict[str, Path] = {}
    for scene in demo_scenes():
        clips[scene.name] = folder / f"{scene.name}.mp4"
        render(scene, clips[scene.name], size=(960, 540), fps=12.0, faces=default_heads())
    return clips


def run(minutes: float, target: Path) -> None:
    """Draw `minutes` in which a camera goes offline, a worker crashes and the broker stops."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        site = Site(Path(folder), stack)
        began, part = time.time(), minutes * 60 / 10
        first, second, *_ = site.servers
        for action in (
            site.servers[first].offline,
            None,
            site.servers[first].online,
            lambda: site.crash(second),
            site.broker.stop,
            None,
            site.broker.start,
            None,
            None,
        ):
            time.sleep(part)
            if action is not None:
                action()
        time.sleep(part)
        draw_board(BOARD, ROWS, site.prometheus.url, (began, time.time()), target)


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("target", type=Path, help="the PNG")
    parser.add_argument("--minutes", type=float, default=8.0)
    options = parser.parse_args()
    run(options.minutes, options.target)


if __name__ == "__main__":
    main()
