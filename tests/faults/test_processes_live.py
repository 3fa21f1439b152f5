"""Workers of live cameras are replaced one by one; frames of the other cameras continue."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from maskwatch.ipc.control import CommandDone, RunCommand, ask, control_socket
from maskwatch.lab.rtsp import RtspServer
from maskwatch.store.queries import Filter, events, read_session
from tests.fakes.clips import make_clip
from tests.fakes.journaling_worker import journal_environment
from tests.fakes.quick_daemon import IDLE_CAMERA, QuickDaemon, is_alive, wait_started
from tests.fakes.samples import change
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    """Serve two cameras that repeat the same moving texture."""
    clip = make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=50, rate=10, gop=10)
    with RtspServer() as running:
        running.add("a", clip)
        running.add("b", clip)
        yield running


def cameras(server: RtspServer, *names: str, extra: str = "") -> str:
    return "\n".join(f"  - {{name: {name}, url: '{server.url(name)}'{extra}}}" for name in names)


def wait_live(daemon: QuickDaemon, *names: str, timeout: float = 90) -> None:
    daemon.wait_ready(timeout)
    for name in names:
        wait_until(lambda name=name: daemon.state_of(name) == "live", timeout, f"{name} is live")


@pytest.mark.long
def test_a_reload_touches_only_what_changed_and_a_bad_file_nothing(
    tmp_path: Path, server: RtspServer
) -> None:
    with QuickDaemon(tmp_path, cameras(server, "a")) as daemon:
        wait_live(daemon, "a")
        first, text = daemon.pid_of("a"), daemon.config.read_text()
        live_since, frames = daemon.camera("a").since, daemon.camera("a").frames

        daemon.config.write_text(text + cameras(server, "b") + "\n")
        done = daemon.run("reload", "--wait")
        assert (done.returncode, done.stdout.strip()) == (
            0,
            "started: b; reconfigured: recorder; undisturbed: a",
        )
        wait_until(lambda: daemon.state_of("b") == "live", 60, "b is live")
        assert daemon.pid_of("a") == first
        assert daemon.camera("a").since == live_since, "it was live all the time"
        wait_until(lambda: daemon.camera("a").frames > frames, 10, "its frames continue")
        assert daemon.metric("maskwatch_camera_disconnects_total", camera="a") == 0

        daemon.config.write_text(text.replace("name: a", "name: a, rate: lots"))
        before = daemon.camera("a").frames
        done = daemon.run("reload", "--wait")
        assert done.returncode == 3
        assert "rate" in done.stderr
        assert "Traceback" not in done.stderr
        assert "rate" in daemon.status().problem
        assert daemon.pid_of("a") == first
        assert {camera.name for camera in daemon.status().cameras} == {"a", "b"}
        wait_until(lambda: daemon.camera("a").frames > before, 10, "frames of a continue")

        daemon.config.write_text(text.replace("name: a", "name: a, rate: 3"))
        second = daemon.pid_of("b")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: {c.name for c in daemon.status().cameras} == {"a"}, 20, "b is gone")
        wait_until(lambda: daemon.pid_of("a") not in (0, first), 20, "a has a new worker")
        wait_until(lambda: not is_alive(second), 20, "the worker of b has ended")
        assert daemon.status().problem == ""
        wait_until(lambda: daemon.state_of("a") == "live", 60, "a is live again")
        assert daemon.stop() == 0


@pytest.mark.long
def test_a_live_worker_that_hangs_is_replaced(tmp_path: Path, server: RtspServer) -> None:
    with QuickDaemon(tmp_path, cameras(server, "a", "b"), heartbeat=4.0) as daemon:
        wait_live(daemon, "a", "b")
        victim, other = daemon.pid_of("a"), daemon.pid_of("b")
        before = daemon.camera("b").frames
        os.kill(victim, signal.SIGSTOP)
        wait_until(lambda: daemon.pid_of("a") not in (0, victim), 40, "a has a new worker")
        wait_until(lambda: daemon.state_of("a") == "live", 60, "a is live again")
        assert daemon.pid_of("b") == other
        assert daemon.camera("b").frames > before


@pytest.mark.long
@pytest.mark.sweep
def test_a_worker_that_grows_too_large_is_renewed_cleanly(tmp_path: Path, server: RtspServer) -> None:
    with QuickDaemon(
        tmp_path, cameras(server, "a"), worker_megabytes=120, measure_interval=0.5, restart_budget=50
    ) as daemon:
        wait_until(
            lambda: (
                daemon.is_serving()
                and daemon.metric("maskwatch_process_restarts_total", camera="a", reason="memory") >= 1
            ),
            90,
            "the worker is renewed",
        )
        assert "more than 120: renewing it" in daemon.log()
        assert "took too long to end" not in daemon.log()


@pytest.mark.long
def test_a_recorder_that_grows_too_large_is_renewed_cleanly_and_loses_nothing(tmp_path: Path) -> None:
    recorded = set()
    with QuickDaemon(
        tmp_path, IDLE_CAMERA, worker_megabytes=30, measure_interval=0.5, restart_budget=50
    ) as daemon:
        wait_started(daemon)
        while daemon.metric("maskwatch_process_restarts_total", process="recorder", reason="memory") < 2:
            visit = change(len(recorded), closed=True)
            with contextlib.suppress(OSError, AssertionError), daemon.connect_worker("door") as worker:
                worker.send(visit)
                assert worker.wait(1, 5)[0].stored
                recorded.add(visit.violation.id)
            time.sleep(0.1)
        assert daemon.stop() == 0
        assert "took too long to end" not in daemon.log()
    assert recorded
    with read_session(daemon.data / "maskwatch.db") as session:
        assert recorded <= {event.id for event in events(session, Filter())}


@pytest.mark.long
def test_disable_and_enable_end_and_start_a_worker(tmp_path: Path, server: RtspServer) -> None:
    with QuickDaemon(tmp_path, cameras(server, "a", "b")) as daemon:
        wait_live(daemon, "a", "b")
        pid = daemon.pid_of("a")
        socket = control_socket(daemon.runtime)
        done = ask(socket, RunCommand(verb="disable", target="a"), timeout=10)
        assert done == CommandDone(ok=True, detail="disabled a")
        wait_until(lambda: daemon.state_of("a") == "disabled", 20, "a is disabled")
        assert not is_alive(pid)
        assert daemon.ready()
        ask(socket, RunCommand(verb="enable", target="a"), timeout=10)
        wait_until(lambda: daemon.state_of("a") == "live", 60, "a is live again")
        answer = ask(socket, RunCommand(verb="snooze", target="a", seconds=60), timeout=10)
        assert isinstance(answer, CommandDone)
        assert answer.ok


@pytest.mark.long
def test_repeated_kills_of_the_recorder_lose_nothing_acknowledged(tmp_path: Path, visitor: Path) -> None:
    journal = tmp_path / "journal"
    env = journal_environment(journal)
    with RtspServer() as server:
        server.add("door", visitor, loop=False, start="manual", hold_last=True)
        config = cameras(server, "door", extra=", decision: {cooldown: 0.3}")
        with QuickDaemon(
            tmp_path, config, env=env, initial_backoff=0.1, restart_budget=100, max_backoff=0.5
        ) as daemon:
            wait_live(daemon, "door")
            server.play("door")
            began = time.monotonic()
            killed = 0
            while killed < 2 or time.monotonic() - began < 12:
                recorder = daemon.status().recorder
                if recorder.pid and recorder.phase == "running":
                    os.kill(recorder.pid, signal.SIGKILL)
                    killed += 1
                time.sleep(1.5)
            wait_until(lambda: daemon.status().recorder.phase == "running", 20, "the recorder is back")
            wait_until(
                lambda: daemon.metric("maskwatch_changes_unacknowledged", camera="door") == 0,
                30,
                "everything is acknowledged",
            )
            opened = daemon.metric("maskwatch_violations_total", camera="door")
            listed = daemon.run("events list", "--format", "jsonl").stdout.splitlines()
            assert daemon.stop() == 0
    acknowledged = {tuple(line.split()[:2]) for line in journal.read_text().splitlines()}
    stored = _changes_in(daemon.data / "maskwatch.db")
    assert acknowledged
    assert acknowledged <= stored
    assert len(listed) == len({violation for violation, _ in stored}) == opened
    assert all(json.loads(line)["ended"] for line in listed)


def _changes_in(database: Path) -> set[tuple[str, str]]:
    """Return every change in the database, as (violation, number)."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    rows = connection.execute("SELECT id, number FROM violation").fetchall()
    connection.close()
    newest = {str(UUID(str(identity))): int(number) for identity, number in rows}
    return {(name, str(n)) for name, last in newest.items() for n in range(1, last + 1)}
