"""`make soak`: neither memory nor descriptors of the running daemon may grow.

    python -m tests.chaos.soak [--duration 3600] [--folder DIR] [--plot FILE]

Two cameras of 640x360 with people who come and go, analysed at 5 frames a second; recorder and workers
are killed in turn at each fifth of the time, and the configuration is reloaded.
Each process's resident memory and descriptors are read every five seconds into samples.csv and a plot.
After a process's warm-up a straight line is fitted to what it uses; the run fails if a slope is above
its bound by more than two standard errors.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from maskwatch.ipc.control import StatusReport
from maskwatch.lab.rtsp import RtspServer
from maskwatch.supervisor.process_usage import read_usage
from tests.chaos.environment import CAMERAS, Subscriber, make_daemon, prefill, render_crowd
from tests.chaos.outside import Broker
from tests.chaos.trend import BOUNDS, Sample, draw, trends, write
from tests.fakes.quick_daemon import QuickDaemon
from tests.fakes.waiting import wait_until

_MAX_DURATION = 3600.0
_INTERVAL = 5.0
_PARTS = 5  # a restart at the end of each but the last


def processes(daemon: QuickDaemon, status: StatusReport) -> Iterator[tuple[str, int]]:
    """Give the name and id of every process of the daemon."""
    yield "supervisor", daemon.process.pid
    if status.recorder.pid:
        yield "recorder", status.recorder.pid
    for camera in status.cameras:
        if camera.worker.pid:
            yield f"worker {camera.name}", camera.worker.pid


def disturb(daemon: QuickDaemon, turn: int) -> None:
    """Kill one process, and reload the configuration."""
    victims = [pid for name, pid in processes(daemon, daemon.status()) if name != "supervisor"]
    os.kill(victims[turn % len(victims)], signal.SIGKILL)
    daemon.process.send_signal(signal.SIGHUP)


def watch(daemon: QuickDaemon, duration: float) -> list[Sample]:
    """Sample for `duration` seconds, with restarts in between."""
    samples, begun, turn = [], time.monotonic(), 0
    while (now := time.monotonic() - begun) < duration:
        if now > (turn + 1) * duration / _PARTS:
            disturb(daemon, turn)
            turn += 1
        for name, pid in processes(daemon, daemon.status()):
            usage = read_usage(pid)
            if usage is not None and usage.resident and usage.fds is not None:  # not just killed
                samples.append(Sample(now, name, pid, usage.resident / (1 << 20), usage.fds))
        time.sleep(_INTERVAL)
    return samples


def run(folder: Path, duration: float) -> list[Sample]:
    """Run daemon, cameras and broker; return the samples."""
    clip, _ = render_crowd(folder)
    broker = Broker(folder / "broker")
    broker.start()
    subscriber = Subscriber(broker.port)
    try:
        with RtspServer() as server:
            for name in CAMERAS:
                server.add(name, clip)
            prefill(folder / "data")
            with make_daemon(folder, server, broker, {}) as daemon:
                daemon.wait_ready(180)
                wait_until(
                    lambda: all(daemon.state_of(name) == "live" for name in CAMERAS), 180, "all are live"
                )
                samples = watch(daemon, duration)
                assert daemon.stop(30) == 0, daemon.log()[-2000:]
        print(f"alerts received  {len(set(subscriber.alerts))}")
    finally:
        subscriber.close()
        broker.stop()
    return samples


def judge(samples: list[Sample]) -> int:
    """Print each trend with its error; return the exit code."""
    found = list(trends(samples))
    unknown = {sample.name for sample in samples} - {trend.name for trend in found}
    failed = bool(unknown)
    for name in sorted(unknown):
        print(f"{name:14} ran too short a time to fit a trend")
    for trend in found:
        bound = BOUNDS[trend.what]
        grows = trend.slope - 2 * trend.error > bound
        failed |= grows
        print(
            f"{trend.name:14} {trend.what:12} mean {trend.mean:7.1f}  slope {trend.slope:+7.2f}"
            f" ± {trend.error:5.2f} per hour (bound {bound:g}){'  GROWS' if grows else ''}"
        )
    print("growth is not excluded" if failed else "nothing grows")
    return 1 if failed else 0


def main() -> int:
    """Soak; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="tests.chaos.soak", description="Checks that no process grows."
    )
    parser.add_argument("--duration", type=float, default=_MAX_DURATION, help="seconds, 3600 at most")
    parser.add_argument("--folder", type=Path, help="for log and samples (default: a new one)")
    parser.add_argument("--plot", type=Path, help="the picture's file (default: soak.png in the folder)")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="maskwatch-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    duration = min(options.duration, _MAX_DURATION)
    print(f"soak: {duration:.0f} s, everything in {folder}", flush=True)
    samples = run(folder, duration)
    write(samples, folder / "samples.csv")
    draw(samples, options.plot or folder / "soak.png")
    return judge(samples)


if __name__ == "__main__":
    sys.exit(main())
