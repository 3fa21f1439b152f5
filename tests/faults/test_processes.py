"""Real processes are killed: none is orphaned, left over or not replaced."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.daemon import children_of
from tests.fakes.quick_daemon import IDLE_CAMERA, QuickDaemon, dead_cameras, is_alive, wait_started
from tests.fakes.samples import change
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[QuickDaemon]:
    """Run a daemon whose two cameras are unreachable, with a worker for each."""
    with QuickDaemon(tmp_path, dead_cameras(2), grace=2.0, heartbeat=4.0) as running:
        wait_started(running)
        yield running


def test_kill_9_of_the_supervisor_leaves_no_process(daemon: QuickDaemon) -> None:
    children = children_of(daemon.process.pid)
    assert len(children) == 4, "recorder, zygote and two workers"
    daemon.process.kill()
    daemon.process.wait(5)
    wait_until(lambda: not any(map(is_alive, children)), 5, "every child is gone")


def test_kill_9_of_the_supervisor_ends_even_children_that_hang(daemon: QuickDaemon) -> None:
    """Only the parent-death signal ends a stopped process: it cannot read the end of its socket."""
    children = children_of(daemon.process.pid)
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    daemon.process.kill()
    daemon.process.wait(5)
    try:
        wait_until(lambda: not any(map(is_alive, children)), 5, "every child is gone")
    finally:
        for pid in filter(is_alive, children):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.long
def test_an_offline_camera_is_one_stored_incident_after_the_configured_time(tmp_path: Path) -> None:
    more = "mqtt: {enabled: false}\nsupervision: {offline_after: 3}"
    with QuickDaemon(tmp_path, dead_cameras(1), more) as daemon:
        wait_started(daemon)
        wait_until(lambda: bool(daemon.status().incidents), 20, "the incident is open")
        (incident,) = daemon.status().incidents
        assert (incident.kind, incident.camera) == ("camera_offline", "c0")
        time.sleep(2)
        assert daemon.status().incidents == (incident,)
        assert daemon.stop() == 0
    with contextlib.closing(sqlite3.connect(daemon.data / "maskwatch.db")) as database:
        rows = database.execute("SELECT kind, camera FROM incident").fetchall()
    assert rows == [("camera_offline", "c0")]


@pytest.mark.long
def test_after_kill_9_a_new_daemon_starts_on_the_same_data(daemon: QuickDaemon) -> None:
    daemon.process.kill()
    daemon.process.wait(5)
    daemon.start()
    wait_started(daemon)


def test_sigterm_ends_everything_in_order_and_leaves_no_socket(daemon: QuickDaemon) -> None:
    children = children_of(daemon.process.pid)
    assert daemon.stop() == 0
    assert not any(map(is_alive, children))
    assert "disabled" not in daemon.log(), "the end of the daemon disables no camera"
    assert list(daemon.runtime.iterdir()) == []
    names = {path.name for path in daemon.data.iterdir()}
    assert not any(name.endswith(("-wal", "-shm", ".tmp", ".sock")) for name in names), names


def test_a_terminal_s_ctrl_c_reaches_all_processes_and_still_ends_in_order(tmp_path: Path) -> None:
    daemon = QuickDaemon(tmp_path, dead_cameras(1))
    with daemon:
        wait_started(daemon)
        pids = [daemon.process.pid, *children_of(daemon.process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGINT)
        assert daemon.process.wait(20) == 0
        assert "ended with exit code" not in daemon.log()


def test_a_killed_worker_is_replaced_and_the_other_goes_on(daemon: QuickDaemon) -> None:
    victim, other = daemon.pid_of("c0"), daemon.pid_of("c1")
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: daemon.pid_of("c0") not in (0, victim), 20, "c0 has a new worker")
    assert daemon.pid_of("c1") == other
    wait_until(
        lambda: daemon.metric("maskwatch_process_restarts_total", camera="c0", reason="killed") == 1,
        5,
        "the kill is counted",
    )


@pytest.mark.long
def test_a_stopped_worker_is_noticed_killed_and_replaced(daemon: QuickDaemon) -> None:
    victim = daemon.pid_of("c0")
    os.kill(victim, signal.SIGSTOP)
    wait_until(lambda: daemon.pid_of("c0") not in (0, victim), 30, "c0 has a new worker")
    assert not is_alive(victim)
    wait_until(
        lambda: daemon.metric("maskwatch_process_restarts_total", camera="c0", reason="hung") == 1,
        5,
        "the hang is counted",
    )


@pytest.mark.long
def test_a_worker_that_hung_while_connecting_hands_its_attempt_on(daemon: QuickDaemon) -> None:
    wait_until(lambda: daemon.camera("c0").attempt >= 2, 30, "two attempts failed")
    victim, attempt = daemon.pid_of("c0"), daemon.camera("c0").attempt
    os.kill(victim, signal.SIGSTOP)
    wait_until(lambda: daemon.pid_of("c0") not in (0, victim), 30, "c0 has a new worker")
    assert daemon.camera("c0").attempt > attempt


@pytest.mark.long
def test_a_crash_loop_is_quarantined_ever_longer_and_disturbs_no_other_child(
    tmp_path: Path,
) -> None:
    timeouts = {"initial_backoff": 0.05, "restart_budget": 2, "restart_window": 120.0, "quarantine": 2.0}
    with QuickDaemon(tmp_path, dead_cameras(2), **timeouts) as daemon:
        wait_started(daemon)
        other = daemon.pid_of("c1")

        def pauses() -> list[int]:
            """Kill the worker, if there is one; return the logged quarantines in seconds."""
            with contextlib.suppress(ProcessLookupError):
                if pid := daemon.pid_of("c0"):
                    os.kill(pid, signal.SIGKILL)
            found = re.findall(r"worker of c0 failed .*next try in (\d+) s", daemon.log())
            return [int(seconds) for seconds in found]

        wait_until(lambda: len(pauses()) >= 3, 90, "it is quarantined again and again")
        first, second, third = pauses()[:3]
        assert first < second < third
        wait_until(lambda: bool(daemon.status().incidents), 5, "the incident is open")
        (incident,) = daemon.status().incidents
        assert (incident.kind, incident.camera) == ("quarantine", "c0")
        assert "ERROR" in daemon.log()
        assert daemon.pid_of("c1") == other


@pytest.mark.long
def test_a_hundred_kills_leave_no_zombie_and_no_descriptor(tmp_path: Path) -> None:
    timeouts = {"initial_backoff": 0.01, "max_backoff": 0.02, "restart_budget": 1000, "tick": 0.05}
    with QuickDaemon(tmp_path, dead_cameras(4), **timeouts) as daemon:
        wait_started(daemon)
        folder = Path(f"/proc/{daemon.process.pid}/fd")
        before = len(list(folder.iterdir()))
        killed: set[int] = set()

        def hundred_killed() -> bool:
            for pid in children_of(daemon.process.pid):
                if pid not in killed and is_alive(pid):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            return len(killed) >= 100

        wait_until(hundred_killed, 30, "a hundred kills")
        wait_started(daemon)
        wait_until(lambda: len(children_of(daemon.process.pid)) == 6, 30, "all run, with a zygote")
        children = children_of(daemon.process.pid)
        assert all(map(is_alive, children))
        assert len(list(folder.iterdir())) <= before + 2


def test_a_recorder_that_is_killed_comes_back(daemon: QuickDaemon) -> None:
    victim = daemon.status().recorder.pid
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    wait_until(
        lambda: (
            (daemon.status().recorder.pid or victim) != victim
            and daemon.status().recorder.phase == "running"
        ),
        20,
        "the recorder runs again",
    )


@pytest.mark.long
def test_a_hung_recorder_is_killed_and_replaced_and_no_worker_with_it(
    daemon: QuickDaemon,
) -> None:
    victim = daemon.status().recorder.pid
    workers = [daemon.pid_of("c0"), daemon.pid_of("c1")]
    assert victim is not None
    os.kill(victim, signal.SIGSTOP)
    wait_until(lambda: not is_alive(victim), 30, "the hung recorder is killed")
    wait_until(lambda: daemon.status().recorder.phase == "running", 30, "the recorder runs again")
    assert daemon.status().recorder.pid != victim
    assert [daemon.pid_of("c0"), daemon.pid_of("c1")] == workers


@pytest.mark.long
def test_a_second_daemon_is_refused_in_one_line_and_the_first_goes_on(
    daemon: QuickDaemon, tmp_path: Path
) -> None:
    second = daemon.run("run")
    assert second.returncode == 6
    assert "another maskwatch daemon" in second.stderr
    assert "Traceback" not in second.stderr
    elsewhere = daemon.config.read_text().replace(f"{tmp_path}/run", f"{tmp_path}/run2")
    daemon.config.write_text(elsewhere.replace(f"port: {daemon.metrics_port}", "port: 0"))
    third = daemon.run("run")
    assert third.returncode == 6, third.stderr
    assert "Traceback" not in third.stderr
    assert daemon.process.poll() is None


def test_a_model_that_does_not_match_its_manifest_ends_the_daemon_with_its_code(
    tmp_path: Path, root: Path
) -> None:
    manifest = next(path for path in sorted((root / "models").glob("masks-*.json")))
    (tmp_path / "m.json").write_text(manifest.read_text())
    (tmp_path / manifest.with_suffix(".tflite").name).write_bytes(b"not the model")
    daemon = QuickDaemon(tmp_path, dead_cameras(1), f"model: {tmp_path / 'm.json'}")
    done = daemon.run("run")
    assert done.returncode == 7, done.stderr
    assert done.stderr.splitlines()[-1].startswith("maskwatch: ")
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_removed_sockets_are_created_again(tmp_path: Path) -> None:
    with QuickDaemon(tmp_path, IDLE_CAMERA) as daemon:
        wait_started(daemon)
        with daemon.connect_worker("door") as connected:
            sockets = list(daemon.runtime.glob("*.sock"))
            assert len(sockets) == 2
            for path in sockets:
                path.unlink()
            wait_until(lambda: all(path.exists() for path in sockets), 30, "the sockets exist again")
            wait_started(daemon)
            connected.send(change(1))
            assert connected.wait(1)[0].stored, "a connected worker stays connected"
        with daemon.connect_worker("door") as new_worker:
            new_worker.send(change(2))
            assert new_worker.wait(1)[0].stored
        assert daemon.stop() == 0
        assert not list(daemon.runtime.glob("*.sock"))


class BlockedLogDaemon(QuickDaemon):
    """Logs to a full pipe without a reader."""

    def command(self, verb: str, *arguments: str) -> list[str]:
        command = super().command(verb, *arguments)
        redirected = ["sh", "-c", 'exec "$@" 2> "$0"', str(self.folder / "unread"), *command]
        return redirected if verb == "run" else command


def test_a_full_log_pipe_blocks_neither_supervision_nor_shutdown(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "unread")
    pipe = os.open(tmp_path / "unread", os.O_RDWR | os.O_NONBLOCK)
    try:
        with contextlib.suppress(BlockingIOError):
            while os.write(pipe, b"\n" * 4096):
                pass
        with BlockedLogDaemon(tmp_path, dead_cameras(2), heartbeat=4.0) as daemon:
            wait_started(daemon)
            for _ in range(5):
                daemon.process.send_signal(signal.SIGHUP)
                assert daemon.status().ready
            assert daemon.status().recorder.restarts == 0
            assert daemon.stop() == 0
    finally:
        os.close(pipe)
