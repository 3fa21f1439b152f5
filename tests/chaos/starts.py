"""Bad starts of the storm: killed at a failpoint, or without something that comes later."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from maskwatch.errors import MaskwatchError
from tests.chaos.disk import Disk
from tests.fakes.daemon import children_of, module_of
from tests.fakes.quick_daemon import QuickDaemon
from tests.fakes.waiting import wait_until

ANY_MOMENT = "any moment"
_MODEL_CHECK = "maskwatch.worker.model_check"
_MAX_START = 30.0
_NOT_NOW = 15  # the exit code
_FEW = 3  # descriptors


class Starts:
    """Starts a supervisor that was killed before, in a bad way."""

    def __init__(self, daemon: QuickDaemon, disk: Disk, secret: Path) -> None:
        self._daemon = daemon
        self._disk = disk
        self._secret = secret

    def die(self, point: str, moment: float, meanwhile: Callable[[], None]) -> bool:
        """Have a start end at a failpoint, or after `moment` seconds; return whether it was reached.

        `meanwhile` is called while it lives.
        """
        if point == ANY_MOMENT:
            self._daemon.start()
            time.sleep(moment)
        else:
            self._daemon.start(MASKWATCH_TEST_FAILPOINT=point)
            self._use_until_it_ends(meanwhile)
        code = self._daemon.process.poll()
        assert code in {None, 0, -signal.SIGKILL}, f"killed at {point}, yet exit code {code}"
        self._daemon.process.kill()
        self._daemon.process.wait()
        return point == ANY_MOMENT or code == -signal.SIGKILL

    def _use_until_it_ends(self, meanwhile: Callable[[], None]) -> None:
        """Reload it once it is ready, then end it: some failpoints are only reached so."""
        process, give_up, end_at = self._daemon.process, time.monotonic() + _MAX_START, 0.0
        while process.poll() is None and time.monotonic() < give_up:
            meanwhile()
            if not end_at and self._is_ready():
                process.send_signal(signal.SIGHUP)
                end_at = time.monotonic() + 1
            elif end_at and time.monotonic() > end_at:
                process.terminate()  # once: a second time kills
                end_at = math.inf
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        with contextlib.suppress(MaskwatchError, OSError):
            status = self._daemon.status()
            return status.ready and status.recorder.phase == "running"
        return False

    def without(self, what: str) -> Callable[[], None]:
        """Start without one of `MISSING`; return what repairs it."""
        return MISSING[what](self)

    def _without_port(self) -> Callable[[], None]:
        stranger = socket.create_server(("127.0.0.1", self._daemon.metrics_port))
        self._daemon.start()
        return stranger.close

    def _with_full_disk(self) -> Callable[[], None]:
        self._disk.fill()
        self._daemon.start()
        return self._disk.free

    def _with_read_only_disk(self) -> Callable[[], None]:
        self._disk.make_read_only()
        self._daemon.start()
        return self._disk.make_writable

    def _without_secret(self) -> Callable[[], None]:
        later = self._secret.with_suffix(".later")
        self._secret.rename(later)
        self._daemon.start()

        def repair() -> None:
            later.rename(self._secret)

        return repair

    def _without_configuration(self) -> Callable[[], None]:
        later = self._daemon.config.with_suffix(".later")
        self._daemon.config.rename(later)
        self._daemon.start()
        code = self._daemon.process.wait(_MAX_START)
        assert code == _NOT_NOW, f"exit code {code} without a configuration file"
        later.rename(self._daemon.config)
        self._daemon.start()
        return lambda: None

    def _without_model_check(self) -> Callable[[], None]:
        self._daemon.start()
        supervisor = self._daemon.process.pid

        def killed() -> bool:
            for pid in children_of(supervisor):
                if module_of(pid) == _MODEL_CHECK:
                    os.kill(pid, signal.SIGKILL)
                    return True
            return False

        wait_until(killed, _MAX_START, "the check of the models is killed")
        return lambda: None

    def _without_descriptors(self) -> Callable[[], None]:
        self._daemon.start()
        process = self._daemon.process
        wait_until(self._answers, _MAX_START, "the supervisor answers")
        limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (_FEW, limits[1]))

        def repair() -> None:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)

        return repair

    def _answers(self) -> bool:
        with contextlib.suppress(MaskwatchError, OSError):
            return bool(self._daemon.status().cameras)
        return False


MISSING: dict[str, Callable[[Starts], Callable[[], None]]] = {
    "metrics port": Starts._without_port,
    "room on the disk": Starts._with_full_disk,
    "writable disk": Starts._with_read_only_disk,
    "secret": Starts._without_secret,
    "configuration": Starts._without_configuration,
    "check of the models": Starts._without_model_check,
    "descriptors": Starts._without_descriptors,
}
