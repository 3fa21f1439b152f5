"""The real daemon forks its workers from the zygote, does without it, and replaces it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.fakes.daemon import children_of, module_of
from tests.fakes.quick_daemon import QuickDaemon, dead_cameras, is_alive, wait_started
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
_PASSWORD = "canary-of-the-door"


def zygote_of(daemon: QuickDaemon) -> int:
    """Return the zygote's process id, 0 for none."""
    pids = children_of(daemon.process.pid)
    return next((pid for pid in pids if module_of(pid) == "maskwatch.worker.zygote"), 0)


def memory(pid: int) -> bytes:
    """Return all that a process can write to, its environment and its command."""
    parts = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline")]
    with Path(f"/proc/{pid}/mem").open("rb") as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, access, *_ = line.split()
            if access.startswith("rw"):
                start, end = (int(number, 16) for number in span.split("-"))
                file.seek(start)
                parts.append(file.read(end - start))
    return b"".join(parts)


@pytest.mark.long
def test_a_killed_zygote_is_replaced_and_no_worker_with_it(tmp_path: Path) -> None:
    """A worker that must be started meanwhile is."""
    with QuickDaemon(tmp_path, dead_cameras(2), grace=2.0) as daemon:
        wait_started(daemon)
        zygote, victim, other = zygote_of(daemon), daemon.pid_of("c0"), daemon.pid_of("c1")
        for pid in (zygote, victim):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: daemon.pid_of("c0") not in (0, victim), 30, "c0 has a new worker")
        wait_until(lambda: zygote_of(daemon) not in (0, zygote), 30, "there is a new zygote")
        assert daemon.pid_of("c1") == other
        wait_until(
            lambda: (
                daemon.metric("maskwatch_process_restarts_total", process="zygote", reason="killed") == 1
            ),
            10,
            "the kill is counted",
        )
        assert daemon.log().count("each worker is a program of its own") == 1
        assert daemon.stop() == 0
        assert not is_alive(zygote_of(daemon) or zygote)


def test_no_secret_is_in_the_zygote_s_memory(tmp_path: Path) -> None:
    url = f"'rtsp://user:{_PASSWORD}@127.0.0.1:1/'"
    with QuickDaemon(tmp_path, f"  - {{name: door, url: {url}}}", grace=2.0) as daemon:
        wait_started(daemon)
        assert _PASSWORD.encode() in memory(daemon.pid_of("door")), "the search finds it where it is"
        assert _PASSWORD.encode() not in memory(zygote_of(daemon))


@pytest.mark.long
def test_workers_are_programs_of_their_own_where_the_configuration_asks_for_it(tmp_path: Path) -> None:
    more = "mqtt: {enabled: false}\nsupervision: {fork_workers: false}"
    with QuickDaemon(tmp_path, dead_cameras(1), more) as daemon:
        wait_started(daemon)
        assert not zygote_of(daemon)
        first = daemon.pid_of("c0")
        daemon.config.write_text(daemon.config.read_text().replace("workers: false", "workers: true"))
        assert daemon.run("reload", "--wait").returncode == 0
        wait_until(lambda: bool(zygote_of(daemon)), 30, "there is a zygote")
        assert daemon.pid_of("c0") == first
