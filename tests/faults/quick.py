"""`python -m tests.faults.quick CONFIG LIMITS`: the daemon, with less patience than in production.

LIMITS is JSON with fields of `maskwatch.supervisor.limits.Limits`, and `worker_megabytes`, which a
configuration may not set so low. Nothing else differs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from maskwatch.config.load import load
from maskwatch.errors import MaskwatchError
from maskwatch.ipc.control import CameraReport
from maskwatch.supervisor.limits import Limits
from maskwatch.supervisor.main import Supervisor, serve
from tests.e2e.daemon import Daemon

__all__ = ["QuickDaemon", "is_alive"]

ROOT = Path(__file__).resolve().parents[2]


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
        return [sys.executable, "-m", "tests.faults.quick", str(self.config), json.dumps(self.limits)]

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


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


class _LowCeiling(Supervisor):
    """Renews workers at fewer MiB than a configuration may say."""

    megabytes = 0

    @property
    def ceiling(self) -> int:
        return self.megabytes << 20


def _run(path: Path, limits: str) -> int:
    given = json.loads(limits)
    _LowCeiling.megabytes = given.pop("worker_megabytes", 0)
    kind = _LowCeiling if _LowCeiling.megabytes else Supervisor
    try:
        return serve(load(path), path, limits=Limits(**given), kind=kind)
    except MaskwatchError as error:  # as `maskwatch.cli.app` does
        sys.stderr.write(f"maskwatch: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(_run(Path(sys.argv[1]), sys.argv[2]))
