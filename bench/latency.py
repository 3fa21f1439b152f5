"""Measures the time from the arrival of the deciding frame to the alert at a subscriber.

    python -m bench.latency [--seconds 60] [--json]

The real daemon with two live cameras (the lab's RTSP server, three people every ten seconds on each),
a real Mosquitto and an independent subscriber. The capture time in an alert is the arrival of the
frame that decided it; both times are from this machine's clock. For comparison it reports the time of
an fsync of a small file and its directory on the same file system, and the daemon's commit time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from maskwatch.alerts.mqtt.topics import Topics
from maskwatch.domain import ChangeKind
from maskwatch.lab.listener import Listener
from maskwatch.lab.rtsp import RtspServer
from tests.chaos.environment import render_crowd
from tests.fakes.daemon import Daemon
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.waiting import wait_until

_CAMERAS = ("north", "south")


def fsync_ms(folder: Path, rounds: int = 50) -> float:
    """Return the median milliseconds to write 4 KiB and sync the file and its directory."""
    times = []
    for number in range(rounds):
        began = time.perf_counter()
        with (folder / f"probe-{number}").open("wb") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
        directory = os.open(folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        times.append(time.perf_counter() - began)
        (folder / f"probe-{number}").unlink()
    return statistics.median(times) * 1000


def latencies(folder: Path, seconds: float) -> tuple[list[float], float]:
    """Return the seconds of each opened alert, and the mean seconds of a commit."""
    clip, _ = render_crowd(folder)
    broker_folder = folder / "broker"
    broker_folder.mkdir()
    broker = Mosquitto(broker_folder)
    broker.start()
    found = []
    with RtspServer() as server:
        rows = []
        for number, name in enumerate(_CAMERAS):
            server.add(name, clip, start="manual")
            server.play(name, after=number * 1.7)
            rows.append(
                f"  - {{name: {name}, url: '{server.url(name)}', decision: {{reassociate: 0.6}}}}"
            )
        mqtt = f"mqtt: {{port: {broker.port}}}"
        with (
            Listener("127.0.0.1", broker.port, Topics("maskwatch", "test")) as listener,
            Daemon(folder, "\n".join(rows), mqtt) as daemon,
        ):
            wait_until(lambda: daemon.ready() and daemon.state_of("south") == "live", 60, "cameras live")
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                arrival = listener.next(0.5)
                if arrival is not None and arrival.alert.change is ChangeKind.OPENED:
                    found.append(arrival.latency)
            commits = daemon.metric("maskwatch_commit_seconds_count")
            commit = daemon.metric("maskwatch_commit_seconds_sum") / max(commits, 1)
            daemon.stop()
    broker.stop()
    return found, commit


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).resolve()
        sync = fsync_ms(folder)
        found, commit = latencies(folder, options.seconds)
    if len(found) < 4:
        raise SystemExit(f"only {len(found)} alerts: too few for a statistic")
    marks = statistics.quantiles(found, n=20, method="inclusive")
    result = {
        "alerts": len(found),
        "p50_ms": marks[9] * 1000,
        "p95_ms": marks[18] * 1000,
        "fsync_ms": sync,
        "commit_ms": commit * 1000,
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['alerts']} alerts from {len(_CAMERAS)} live cameras")
    print(f"frame to subscriber   p50 {result['p50_ms']:.0f} ms, p95 {result['p95_ms']:.0f} ms")
    print(f"of it, the commit     {result['commit_ms']:.1f} ms on average, pictures included")
    print(f"one fsync of a file and its directory here: {result['fsync_ms']:.1f} ms")


if __name__ == "__main__":
    main()
