"""The daemon starts while something that it needs is missing, and waits for it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.lab.broker import free_port
from tests.fakes.quick_daemon import QuickDaemon, dead_cameras, is_alive, wait_started
from tests.fakes.systemd_socket import SystemdSocket
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

_QUICK = {"recorder_start": 0.3, "initial_backoff": 0.2, "max_backoff": 1.0}
_NO_BROKER = "mqtt: {enabled: false}"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[SystemdSocket]:
    with SystemdSocket(tmp_path) as made:
        yield made


def children_of(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def module_of(pid: int) -> str:
    """Return the module that a child runs, "" until it does."""
    with contextlib.suppress(OSError, IndexError):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        return words[words.index("-m") + 1] if "-m" in words else ""
    return ""


CHILDREN = {"maskwatch.recorder", "maskwatch.worker", "maskwatch.worker.model_check"}


def test_a_child_that_is_still_starting_dies_with_its_supervisor(tmp_path: Path) -> None:
    """Each is stopped as soon as its program runs, so that only the kernel can end it."""
    with QuickDaemon(tmp_path, dead_cameras(1), **_QUICK) as daemon:
        stopped: dict[str, int] = {}

        def all_stopped() -> bool:
            for pid in children_of(daemon.process.pid):
                module = module_of(pid)
                if module in CHILDREN - stopped.keys():
                    os.kill(pid, signal.SIGSTOP)
                    stopped[module] = pid
            return stopped.keys() == CHILDREN

        try:
            wait_until(all_stopped, 30, "every kind of child is stopped while it starts")
            daemon.process.kill()
            daemon.process.wait(10)
            wait_until(lambda: not any(map(is_alive, stopped.values())), 5, "every child is gone")
        finally:
            for pid in filter(is_alive, stopped.values()):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("section", ["metrics", pytest.param("links", marks=pytest.mark.long)])
def test_a_port_in_use_is_waited_for_while_cameras_are_watched(
    section: str, tmp_path: Path, systemd: SystemdSocket
) -> None:
    key = {"LINKS_KEY": "a key for tests of thirty-two chars"}
    links = free_port()
    more = f"{_NO_BROKER}\nlinks: {{enabled: true, port: {links}, key: '${{LINKS_KEY}}'}}"
    daemon = QuickDaemon(tmp_path, dead_cameras(1), more, systemd.env | key, **_QUICK)
    port = daemon.metrics_port if section == "metrics" else links
    with contextlib.ExitStack() as stack:
        stranger = stack.enter_context(socket.create_server(("127.0.0.1", port)))
        stack.enter_context(daemon)
        wait_started(daemon)
        wait_until(lambda: f"waiting for {section}" in systemd.status, 20, "systemd's status names it")
        assert str(port) in systemd.status
        assert systemd.ready
        stranger.close()
        wait_until(lambda: f"waiting for {section}" not in systemd.status, 60, "it is available")
        with socket.create_connection(("127.0.0.1", port), 10):
            pass
        assert daemon.stop() == 0


@pytest.mark.long
def test_an_address_that_no_interface_has_yet_is_waited_for(
    tmp_path: Path, systemd: SystemdSocket
) -> None:
    address = "192.0.2.77"
    daemon = QuickDaemon(tmp_path, dead_cameras(1), env=systemd.env, **_QUICK)
    text = daemon.config.read_text().replace("metrics: {", f"metrics: {{host: {address}, ")
    daemon.config.write_text(text)
    with daemon:
        wait_started(daemon)
        wait_until(lambda: "waiting for metrics" in systemd.status, 20, "systemd's status names it")
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
        try:
            wait_until(lambda: bool(daemon.status().metrics), 60, "the metrics are served")
        finally:
            subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=True)
        assert daemon.stop() == 0


@pytest.mark.long
def test_a_model_check_that_the_system_kills_is_repeated(tmp_path: Path) -> None:
    with QuickDaemon(tmp_path, dead_cameras(1), **_QUICK) as daemon:
        killed: list[int] = []

        def check_is_killed() -> bool:
            for pid in children_of(daemon.process.pid):
                if module_of(pid) == "maskwatch.worker.model_check" and pid not in killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
            return len(killed) >= 2

        wait_until(check_is_killed, 60, "the check of the models is killed twice")
        wait_started(daemon)
        wait_until(lambda: "models: available now" in daemon.log(), 60, "the models are checked")
        assert "SIGKILL" in daemon.log()
        assert daemon.stop() == 0


def test_the_watchdog_is_not_fed_while_no_descriptor_can_be_opened(tmp_path: Path) -> None:
    with (
        SystemdSocket(tmp_path, watchdog=2.0) as systemd,
        QuickDaemon(tmp_path, dead_cameras(1), env=systemd.env, **_QUICK) as daemon,
    ):
        wait_started(daemon)
        wait_until(lambda: systemd.fed_since(0.0), 20, "the watchdog is fed")
        limits = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        wait_until(lambda: "Too many open files" in systemd.status, 20, "systemd's status says why")
        systemd.read()
        starved = time.monotonic()
        time.sleep(2.0)  # four times the interval of the checks
        assert not systemd.fed_since(starved)
        assert daemon.process.poll() is None
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, limits)
        wait_until(lambda: systemd.fed_since(starved + 2.0), 20, "the watchdog is fed again")
        wait_started(daemon)
        assert daemon.stop() == 0


class MountedDaemon(QuickDaemon):
    """One of its directories is a small file system of its own, mounted with `options`."""

    mounted: Path
    options = ""

    def command(self, verb: str, *arguments: str) -> list[str]:
        command = super().command(verb, *arguments)
        if verb != "run":
            return ["nsenter", "--target", str(self.process.pid), "--mount", *command]
        self.mounted.mkdir(exist_ok=True)
        mount = 'mount -t tmpfs -o "$0" tmpfs "$1" && shift && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", mount, self.options, str(self.mounted), *command]

    def remount(self, options: str) -> None:
        inside = ["nsenter", "--target", str(self.process.pid), "--mount"]
        command = ["mount", "-o", f"remount,{options}", str(self.mounted)]
        subprocess.run([*inside, *command], check=True)


@pytest.mark.long
@pytest.mark.parametrize(
    ("directory", "options", "repaired"),
    [
        ("runtime", "size=1m,nr_inodes=1", "size=1m,nr_inodes=100"),
        ("data", "size=90m,ro", "size=90m,rw"),
        ("data", "size=90m,nr_inodes=1", "size=90m,nr_inodes=1000"),
    ],
    ids=["runtime directory full", "data directory read-only", "data directory full"],
)
def test_a_directory_that_cannot_be_written_is_waited_for(
    directory: str, options: str, repaired: str, tmp_path: Path, systemd: SystemdSocket
) -> None:
    daemon = MountedDaemon(tmp_path, dead_cameras(1), env=systemd.env, **_QUICK)
    daemon.mounted, daemon.options = getattr(daemon, directory), options
    with daemon:
        wait_until(
            lambda: "worker" in str(list(map(module_of, children_of(daemon.process.pid)))),
            60,
            "the camera has its worker",
        )
        wait_until(lambda: "the recorder does not run: cannot run now" in systemd.status, 60, "status")
        assert str(daemon.mounted) in systemd.status
        assert daemon.process.poll() is None
        daemon.remount(repaired)
        wait_until(lambda: "does not run" not in systemd.status, 60, "the recorder runs")
        wait_until(lambda: "waiting for" not in systemd.status, 60, "nothing is missing")
        assert "quarantine" not in daemon.log()
        assert daemon.stop() == 0
