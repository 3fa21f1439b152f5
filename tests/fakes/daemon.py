"""The real daemon in a directory of one test, with its interfaces to the outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from maskwatch.ipc.control import StatusReport, StatusRequest, ask, control_socket
from maskwatch.lab.broker import free_port
from tests.fakes.waiting import SLACK, wait_until


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started; none if it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def module_of(pid: int) -> str:
    """Return the module that a child runs, "" until it does."""
    with contextlib.suppress(OSError, IndexError):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        return words[words.index("-m") + 1] if "-m" in words else ""
    return ""


class Daemon:
    """`maskwatch run` with a configuration: `cameras` and `more` are YAML."""

    def __init__(
        self, folder: Path, cameras: str, more: str = "", env: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.data, self.runtime = folder / "data", folder / "run"
        self.metrics_port = free_port()
        self.config = folder / "config.yaml"
        self.log_file = folder / "daemon.log"
        self._env = {**os.environ, **(env or {})}
        store = "" if "store:" in more else "store: {reserve_megabytes: 1}\n"
        self.config.write_text(
            f"node: test\ndata_dir: {self.data}\nruntime_dir: {self.runtime}\n"
            f"metrics: {{port: {self.metrics_port}}}\n{store}"
            f"{more}\ncameras:\n{cameras}\n"
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        if kind is not None:
            sys.stderr.write(self.log())

    def start(self, **more_env: str) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command("run"), env=self._env | more_env, stdout=log, stderr=log, cwd=self.folder
            )

    def command(self, verb: str, *arguments: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "maskwatch",
            *verb.split(),
            "--config",
            str(self.config),
            *arguments,
        ]

    def run(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command with the same configuration."""
        return subprocess.run(
            self.command(verb, *arguments),
            env=self._env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def fetch(self, path: str) -> str:
        url = f"http://127.0.0.1:{self.metrics_port}/{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def ready(self) -> bool:
        try:
            self.fetch("readyz")
        except OSError:
            return False
        return True

    def wait_ready(self, timeout: float = 40) -> None:
        wait_until(
            lambda: self.ready() or self.process.poll() is not None, timeout, "the daemon is ready"
        )
        assert self.process.poll() is None, self.log()

    def status(self) -> StatusReport:
        answer = ask(control_socket(self.runtime), StatusRequest(), timeout=10)
        assert isinstance(answer, StatusReport)
        return answer

    def state_of(self, camera: str) -> str:
        return next(str(report.state) for report in self.status().cameras if report.name == camera)

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name with these labels."""
        total = 0.0
        for line in self.fetch("metrics").splitlines():
            head, _, value = line.rpartition(" ")
            if head.split("{")[0] == name and all(f'{k}="{v}"' in head for k, v in labels.items()):
                total += float(value)
        return total

    def children(self) -> list[int]:
        """Return the ids of all descendants of the daemon."""
        listing = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
        pairs = [tuple(map(int, line.split())) for line in listing.stdout.splitlines()[1:]]
        found, frontier = [], {self.process.pid}
        while frontier:
            frontier = {pid for pid, parent in pairs if parent in frontier}
            found += frontier
        return found

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def stop(self, timeout: float = 20) -> int:
        """Send SIGTERM, as systemd does; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout * SLACK)
