"""Memory per added camera: proportional set size (PSS) of all processes of the real daemon.

    python -m bench.memory [--cameras 1 2 4] [--height 1080] [--keys KEYS] [--json]

The daemon runs with 1, 2 and 4 cameras (our RTSP server, the crowd of five people, so that every
model is loaded and in use); once all are live and have been for some seconds, PSS is summed over the
supervisor, the zygote, the recorder and the workers (/proc/PID/smaps_rollup). The slope between the
smallest and the largest number is what one more camera costs. KEYS are further keys of each camera, such
as "face_search: regions".
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from maskwatch.ipc.control import StatusReport, StatusRequest, ask, control_socket
from maskwatch.lab.crowd import crowd_clip
from maskwatch.lab.rtsp import RtspServer

_SETTLE = 10.0
_TIMEOUT = 120.0


def pss(pid: int) -> float:
    """Return the process's proportional set size in MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"process {pid} has no Pss line")


def zygote_of(supervisor: int) -> int:
    """Return the process id of the zygote, 0 for none."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return next((pid for pid, command in commands.items() if b".zygote" in command), 0)


def settled(runtime: Path) -> StatusReport:
    """Return the daemon's status once every camera has processed a few seconds of frames."""
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        if control_socket(runtime).exists():
            status = ask(control_socket(runtime), StatusRequest(), timeout=10)
            if (
                isinstance(status, StatusReport)
                and status.cameras
                and all(c.frames > 5 for c in status.cameras)
            ):
                time.sleep(_SETTLE)
                return status
        time.sleep(0.2)
    raise SystemExit(f"not every camera was live within {_TIMEOUT:.0f} s")


def measure(cameras: int, clip: Path, keys: str) -> dict[str, float]:
    """Return MiB of each kind of process, and of all together."""
    with RtspServer() as server, tempfile.TemporaryDirectory() as folder:
        server.add("crowd", clip)
        more = f", {keys}" if keys else ""
        row = f"url: '{server.url('crowd')}'{more}"
        rows = "".join(f"  - {{name: c{i}, {row}}}\n" for i in range(cameras))
        config = Path(folder, "config.yaml")
        config.write_text(
            f"data_dir: {folder}/data\nruntime_dir: {folder}/run\nmqtt: {{enabled: false}}\n"
            f"metrics: {{port: 0}}\nstore: {{reserve_megabytes: 0}}\ncameras:\n{rows}"
        )
        with Path(folder, "log").open("wb") as log:
            command = [sys.executable, "-m", "maskwatch", "run", "--config", str(config)]
            daemon = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            status = settled(Path(folder, "run"))
            workers = [pss(c.worker.pid) for c in status.cameras if c.worker.pid]
            recorder = pss(status.recorder.pid) if status.recorder.pid else 0.0
            supervisor, zygote = pss(daemon.pid), zygote_of(daemon.pid)
            forking = pss(zygote) if zygote else 0.0
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)
    worker = sum(workers) / len(workers)
    parts = {"supervisor": supervisor, "zygote": forking, "recorder": recorder}
    return {**parts, "worker": worker, "all": sum(parts.values()) + sum(workers)}


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--height", type=int, default=1080, help="of the clip, 16:9")
    parser.add_argument("--keys", default="", help="of each camera, in YAML")
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clip = crowd_clip(options.folder, 5, (options.height * 16 // 9, options.height))
    results = {count: measure(count, clip, options.keys) for count in sorted(options.cameras)}
    few, many = min(results), max(results)
    slope = (results[many]["all"] - results[few]["all"]) / (many - few) if many > few else float("nan")
    if options.json:
        print(json.dumps({"results": results, "per_added_camera": slope}))
        return
    print(f"MiB (PSS) on {os.uname().machine}")
    widths = {"supervisor": 11, "zygote": 7, "recorder": 9, "worker": 12, "all": 7}
    print(f"{'cameras':>7} " + " ".join(f"{name:>{width}}" for name, width in widths.items()))
    for count, row in results.items():
        cells = " ".join(f"{row[name]:>{width}.0f}" for name, width in widths.items())
        print(f"{count:>7} {cells}")
    print(f"one more camera: {slope:.0f} MiB")


if __name__ == "__main__":
    main()
