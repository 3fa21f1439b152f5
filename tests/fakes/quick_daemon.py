"""`python -m tests.fakes.quick_daemon CONFIG TIMEOUTS`: the daemon, with shorter timeouts.

TIMEOUTS is JSON with fields of `maskwatch.supervisor.timeouts.Timeouts`, and `worker_megabytes`, which a
configuration may not set so low. MASKWATCH_TEST_WORKER may name another module to run as a worker (such
as `tests.fakes.hostile_worker`), MASKWATCH_TEST_RECORDER one to run as the recorder, and
MASKWATCH_TEST_FAILPOINT a function at whose beginning the supervisor is killed. Nothing else differs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from maskwatch.config.load import load_available
from maskwatch.config.partial import PartialConfig
from maskwatch.config.schema import SupervisionConfig
from maskwatch.errors import ControlError, MaskwatchError
from maskwatch.ipc.control import CameraReport
from maskwatch.ipc.messages import Configure
from maskwatch.lab.broker import free_port
from maskwatch.supervisor import child_factory
from maskwatch.supervisor.main import serve
from maskwatch.supervisor.process import ChildProcess, Start
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.telemetry import logs
from tests.fakes.daemon import Daemon
from tests.fakes.failpoint import arm
from tests.fakes.recorder_process import KEY as TOKEN_KEY
from tests.fakes.recorder_process import FakeWorker
from tests.fakes.service_user import as_service_user, give
from tests.fakes.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
IDLE_CAMERA = "  - {name: door, url: 'rtsp://127.0.0.1:1/', enabled: false}"
"""A disabled camera: it has no worker, so that a test can connect as one."""
KEY = {"HOOK_KEY": "what-signs-requests"}
"""The environment with the key of the webhooks of `channel`."""


class QuickDaemon(Daemon):
    """The real daemon with timeouts that a test sets."""

    def __init__(
        self,
        folder: Path,
        cameras: str,
        more: str = "mqtt: {enabled: false}",
        env: dict[str, str] | None = None,
        **timeouts: float,
    ) -> None:
        super().__init__(folder, cameras, more, {"PYTHONPATH": str(ROOT), **(env or {})})
        self.timeouts = timeouts

    def command(self, verb: str, *arguments: str) -> list[str]:
        if verb != "run":
            return super().command(verb, *arguments)
        return [
            sys.executable,
            "-m",
            "tests.fakes.quick_daemon",
            str(self.config),
            json.dumps(self.timeouts),
        ]

    def is_serving(self) -> bool:
        """Return whether it answers on its metrics port."""
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
    def connect_worker(self, camera: str) -> Iterator[FakeWorker]:
        """Connect to the recorder as the worker of a disabled camera."""
        with closing(FakeWorker(self.runtime / "recorder.sock", camera)) as worker:
            yield worker


class ServiceDaemon(QuickDaemon):
    """The daemon of an ordinary user; its environment must be that of `service_environment`."""

    def command(self, verb: str, *arguments: str) -> list[str]:
        command = super().command(verb, *arguments)
        return as_service_user(*command[1:]) if verb == "run" else command

    def start(self, **more_env: str) -> None:
        give(self.folder)
        super().start(**more_env)


class SmallDiskDaemon(QuickDaemon):
    """Its data directory is a file system of `megabytes` MiB, mounted for its processes only.

    `inodes`: how many it has, 0 for as many as the system gives it.
    """

    def __init__(self, *arguments: Any, megabytes: int, inodes: int = 0, **timeouts: float) -> None:
        super().__init__(*arguments, **timeouts)
        self.data.mkdir()
        self._options = f"size={megabytes}m" + (f",nr_inodes={inodes}" if inodes else "")

    def command(self, verb: str, *arguments: str) -> list[str]:
        command = super().command(verb, *arguments)
        if verb != "run":
            return ["nsenter", "--target", str(self.process.pid), "--mount", *command]
        mount = 'mount -t tmpfs -o "$0" tmpfs "$1" && shift && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", mount, self._options, str(self.data), *command]

    @property
    def inside(self) -> Path:
        """The data directory as the daemon sees it."""
        return Path(f"/proc/{self.process.pid}/root{self.data}")


def channel(name: str, port: int, **keys: object) -> str:
    """Return a webhook at a port of this machine, as an entry of `people`."""
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"{{name: {name}, webhook: 'http://127.0.0.1:{port}/', key: '${{HOOK_KEY}}'{more}}}"


def dead_cameras(count: int) -> str:
    """Return `count` cameras at a port of this machine at which no server listens."""
    port = free_port()
    return "\n".join(f"  - {{name: c{i}, url: 'rtsp://127.0.0.1:{port}/{i}'}}" for i in range(count))


def wait_started(daemon: QuickDaemon, timeout: float = 60) -> None:
    """Wait until every camera has its worker and the recorder runs."""

    def started() -> bool:
        assert daemon.process.poll() is None, daemon.log()
        try:
            status = daemon.status()
        except ControlError:
            return False
        workers = [camera.worker.phase for camera in status.cameras]
        return (
            status.ready and status.recorder.phase == "running" and set(workers) <= {"running", "idle"}
        )

    wait_until(started, timeout, "every camera has its worker")


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


_MODULE_VARIABLES = {
    "maskwatch.worker": "MASKWATCH_TEST_WORKER",
    "maskwatch.recorder": "MASKWATCH_TEST_RECORDER",
}


def _spawn_test_module(module: str, configure: Configure, start: Start) -> ChildProcess:
    """Start the module that the environment names instead of the worker or the recorder.

    Children get the default `supervision`: they would refuse `worker_megabytes` of a test.
    """
    config = msgspec.structs.replace(configure.config, supervision=SupervisionConfig())
    module = os.environ.get(_MODULE_VARIABLES[module], module)
    return ChildProcess(module, msgspec.structs.replace(configure, config=config), start)


def _load(path: Path, worker_megabytes: int) -> PartialConfig:
    loaded = load_available(path)
    if not worker_megabytes:
        return loaded
    config = loaded.config
    supervision = msgspec.structs.replace(config.supervision, worker_megabytes=worker_megabytes)
    return replace(loaded, config=msgspec.structs.replace(config, supervision=supervision))


def _run(path: Path, timeouts_json: str) -> int:
    timeouts = json.loads(timeouts_json)
    worker_megabytes = timeouts.pop("worker_megabytes", 0)
    child_factory.new_token_key = lambda: TOKEN_KEY  # which `QuickDaemon.connect_worker` uses too
    if "MASKWATCH_TEST_WORKER" in os.environ:  # show repeated lines of the log as well
        logs.RepeatFilter.filter = lambda *_: True  # type: ignore[method-assign]
    if failpoint := os.environ.get("MASKWATCH_TEST_FAILPOINT"):
        arm(failpoint)
    try:
        config = _load(path, worker_megabytes)
        return serve(config, path, timeouts=Timeouts(**timeouts), spawn=_spawn_test_module)
    except MaskwatchError as error:  # as `maskwatch.cli.app` does
        sys.stderr.write(f"maskwatch: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(_run(Path(sys.argv[1]), sys.argv[2]))
