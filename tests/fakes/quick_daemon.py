"""`python -m tests.fakes.quick_daemon CONFIG LIMITS`: the daemon, with less patience than in production.

LIMITS is JSON with fields of `maskwatch.supervisor.timeouts.Limits`, and `worker_megabytes`, which a
configuration may not set so low. MASKWATCH_TEST_WORKER may name another module to run as a worker (such
as `tests.fakes.hostile_worker`), MASKWATCH_TEST_RECORDER one to run as the recorder. Nothing else
differs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from maskwatch.config.load import load
from maskwatch.errors import ControlError, MaskwatchError
from maskwatch.ipc.control import CameraReport
from maskwatch.lab.broker import free_port
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.main import Supervisor, serve
from maskwatch.supervisor.process import spawn
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.telemetry import logs
from tests.fakes.daemon import Daemon
from tests.fakes.recorder_process import KEY as TOKEN_KEY
from tests.fakes.recorder_process import FakeWorker
from tests.fakes.waiting import wait_until

__all__ = [
    "IDLE_CAMERA",
    "KEY",
    "QuickDaemon",
    "SmallDiskDaemon",
    "channel",
    "dead_cameras",
    "is_alive",
    "wait_given",
]

ROOT = Path(__file__).resolve().parents[2]
IDLE_CAMERA = "  - {name: door, url: 'rtsp://127.0.0.1:1/', enabled: false}"
"""A camera that no worker watches: a test hands in what one would."""
KEY = {"HOOK_KEY": "what-signs-requests"}
"""The environment in which the webhooks of `channel` have their key."""


class QuickDaemon(Daemon):
    """The real daemon with limits of a test's own."""

    def __init__(
        self,
        folder: Path,
        cameras: str,
        more: str = "mqtt: {enabled: false}",
        env: dict[str, str] | None = None,
        **limits: float,
    ) -> None:
        super().__init__(folder, cameras, more, {"PYTHONPATH": str(ROOT), **(env or {})})
        self.limits = limits

    def command(self, verb: str, *arguments: str) -> list[str]:
        if verb != "run":
            return super().command(verb, *arguments)
        return [
            sys.executable,
            "-m",
            "tests.fakes.quick_daemon",
            str(self.config),
            json.dumps(self.limits),
        ]

    def ready_to_ask(self) -> bool:
        """Whether it answers on its metrics port."""
        try:
            self.fetch("healthz")
        except OSError:
            return False
        return True

    def camera(self, name: str) -> CameraReport:
        return next(report for report in self.status().cameras if report.name == name)

    def pid_of(self, name: str) -> int:
        """The process id of a camera's worker, 0 while it has none."""
        return self.camera(name).worker.pid or 0

    @contextmanager
    def hand_in(self, camera: str) -> Iterator[FakeWorker]:
        """Speak to the recorder as the worker of a camera that has none, since it is disabled."""
        with closing(FakeWorker(self.runtime / "recorder.sock", camera)) as worker:
            yield worker


class SmallDiskDaemon(QuickDaemon):
    """Its data directory is a file system of so many MiB, which its own processes alone see."""

    def __init__(self, *arguments: Any, megabytes: int, **limits: float) -> None:
        super().__init__(*arguments, **limits)
        self.data.mkdir()
        self._size = f"{megabytes}m"

    def command(self, verb: str, *arguments: str) -> list[str]:
        command = super().command(verb, *arguments)
        if verb != "run":
            return ["nsenter", "--target", str(self.process.pid), "--mount", *command]
        mount = 'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", mount, self._size, str(self.data), *command]

    @property
    def inside(self) -> Path:
        """The data directory as the daemon sees it."""
        return Path(f"/proc/{self.process.pid}/root{self.data}")


def channel(name: str, port: int, **keys: object) -> str:
    """A webhook at a port of this machine, as an entry of `people`."""
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"{{name: {name}, webhook: 'http://127.0.0.1:{port}/', key: '${{HOOK_KEY}}'{more}}}"


def dead_cameras(count: int) -> str:
    """So many cameras at a port of this machine where nobody listens."""
    port = free_port()
    return "\n".join(f"  - {{name: c{i}, url: 'rtsp://127.0.0.1:{port}/{i}'}}" for i in range(count))


def wait_given(daemon: QuickDaemon, timeout: float = 60) -> None:
    """Wait until every camera has its worker and the recorder runs."""

    def given() -> bool:
        assert daemon.process.poll() is None, daemon.log()
        try:
            status = daemon.status()
        except ControlError:
            return False
        workers = [camera.worker.phase for camera in status.cameras]
        return (
            status.ready and status.recorder.phase == "running" and set(workers) <= {"running", "idle"}
        )

    wait_until(given, timeout, "every camera has its worker")


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


class _KnownKey(Supervisor):
    """Makes its workers' tokens with a key that a test has too, for `QuickDaemon.hand_in`."""

    def _make_family(self) -> ChildProcesses:
        family = super()._make_family()
        family._key = TOKEN_KEY
        if module := os.environ.get("MASKWATCH_TEST_RECORDER"):
            family.recorder._spawn = lambda _, configure: spawn(module, configure)
        return family


class _LowCeiling(_KnownKey):
    """Renews workers at fewer MiB than a configuration may say."""

    megabytes = 0

    @property
    def ceiling(self) -> int:
        return self.megabytes << 20


class _OtherWorkers(_KnownKey):
    """Starts another module in the place of the workers; every line of the supervisor's is shown."""

    def _make_family(self) -> ChildProcesses:
        family = super()._make_family()
        module = os.environ["MASKWATCH_TEST_WORKER"]
        logs.RepeatFilter.filter = lambda *_: True  # type: ignore[method-assign]
        family._spawn = lambda _, configure: spawn(module, configure)  # the recorder has its own
        return family


def _run(path: Path, limits: str) -> int:
    given = json.loads(limits)
    _LowCeiling.megabytes = given.pop("worker_megabytes", 0)
    kind = _OtherWorkers if "MASKWATCH_TEST_WORKER" in os.environ else _KnownKey
    kind = _LowCeiling if _LowCeiling.megabytes else kind
    try:
        return serve(load(path), path, limits=Timeouts(**given), kind=kind)
    except MaskwatchError as error:  # as `maskwatch.cli.app` does
        sys.stderr.write(f"maskwatch: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(_run(Path(sys.argv[1]), sys.argv[2]))
