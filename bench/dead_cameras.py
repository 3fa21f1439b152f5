"""Measures the cost of a hundred unreachable cameras beside one that is live.

    python -m bench.dead_cameras [--dead 100] [--settle 120] [--seconds 60]

The real daemon with one live camera (the lab's RTSP server, a crowd of five people) and many dead
ones: every second address refuses connections, the others never answer. The report shows when the
daemon was ready and the camera live (with and without the dead ones), the processor seconds of each
kind of process in the first minute after that and, after `--settle` seconds of growing backoff, in a
window of `--seconds`; and the memory (PSS).
"""

from __future__ import annotations

import argparse
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.memory import pss
from maskwatch.lab.broker import free_port
from maskwatch.lab.crowd import crowd_clip
from maskwatch.lab.rtsp import RtspServer
from maskwatch.supervisor.process_usage import read_usage
from tests.fakes.daemon import Daemon
from tests.fakes.waiting import wait_until

_FIRST = 60.0
_TIMEOUT = 300.0


@contextmanager
def unresponsive_port() -> Iterator[int]:
    """Yield a port that neither accepts nor refuses connections, since its queue is full."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = server.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the standard library's signature
            waiting.connect_ex(("127.0.0.1", port))
        yield port


@dataclass
class Site:
    """The daemon and the seconds after which it was ready and its camera live."""

    daemon: Daemon
    ready: float
    live: float

    def processes(self) -> dict[str, list[int]]:
        """The processes by kind."""
        status = self.daemon.status()
        workers = {c.name: c.worker.pid for c in status.cameras if c.worker.pid}
        return {
            "supervisor": [self.daemon.process.pid],
            "recorder": [status.recorder.pid or 0],
            "live worker": [workers["live"]],
            "dead workers": [pid for name, pid in workers.items() if name != "live"],
        }

    def cpu(self, seconds: float) -> dict[str, float]:
        """Processor seconds of each kind in this window, for each second of it."""
        before = {kind: sum(map(_cpu, pids)) for kind, pids in self.processes().items()}
        time.sleep(seconds)
        after = {kind: sum(map(_cpu, pids)) for kind, pids in self.processes().items()}
        return {kind: (after[kind] - before[kind]) / seconds for kind in before}

    def memory(self) -> dict[str, float]:
        """MiB (PSS) of each kind."""
        return {kind: sum(map(pss, pids)) for kind, pids in self.processes().items()}


def _cpu(pid: int) -> float:
    usage = read_usage(pid)
    return usage.cpu if usage else 0.0


def _ready_and_live(daemon: Daemon, began: float, seen: dict[str, float]) -> bool:
    """Record when the daemon is ready and the camera live; return whether both are."""
    log, passed = daemon.log(), time.monotonic() - began
    if "ready: " in log:
        seen.setdefault("ready", passed)
    if re.search(r"supervisor\[live\]: camera live", log):
        seen.setdefault("live", passed)
    return len(seen) == 2


@contextmanager
def site(clip: Path, dead: int) -> Iterator[Site]:
    """Run the daemon with the live camera listed last, after all dead ones."""
    with (
        RtspServer() as server,
        unresponsive_port() as unresponsive,
        tempfile.TemporaryDirectory() as folder,
    ):
        server.add("live", clip)
        ports = (free_port(), unresponsive)
        rows = [f"  - {{name: d{i}, url: 'rtsp://127.0.0.1:{ports[i % 2]}/{i}'}}" for i in range(dead)]
        rows.append(f"  - {{name: live, url: '{server.url('live')}'}}")
        began = time.monotonic()
        with Daemon(Path(folder), "\n".join(rows), "mqtt: {enabled: false}") as daemon:
            seen: dict[str, float] = {}
            wait_until(
                lambda: _ready_and_live(daemon, began, seen), _TIMEOUT, "ready, and the camera live"
            )
            yield Site(daemon, seen["ready"], seen["live"])
            daemon.stop(60)


def _table(name: str, values: dict[str, float], unit: str) -> None:
    cells = "".join(f"{kind} {value:.3f}  " for kind, value in values.items())
    print(f"{name:<22} {cells}({unit})")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--dead", type=int, default=100)
    parser.add_argument("--settle", type=float, default=120.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    options = parser.parse_args()
    clip = crowd_clip(options.folder, 5)
    for dead in (0, options.dead):
        with site(clip, dead) as running:
            print(f"{dead} dead: ready after {running.ready:.1f} s, live after {running.live:.1f} s")
            _table("  the first minute", running.cpu(_FIRST), "processor seconds a second")
            time.sleep(options.settle if dead else 0)
            _table("  later", running.cpu(options.seconds), "processor seconds a second")
            _table("  memory", running.memory(), "MiB PSS")


if __name__ == "__main__":
    main()
