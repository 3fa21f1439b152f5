"""A real Prometheus scrapes the real daemon: every query has data, and changes by its fault.

`tests/deploy/symptoms.py` assigns a fault to every panel query and every rule. Three scenarios induce
each fault and check these changes, which must not occur without the fault. The rules are the shipped
ones with shorter durations (`tests/deploy/short_rules.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from maskwatch.alerts.mqtt.topics import Topic, Topics
from maskwatch.lab.rtsp import RtspServer
from maskwatch.lab.scenes import Scene, default_heads, render
from maskwatch.lab.scenes.scene import Figure, Step
from maskwatch.lab.truth import Wear
from tests.deploy.prometheus import empty
from tests.deploy.queries import Query, panel_queries, record_queries, variable_queries
from tests.deploy.symptoms import Fault
from tests.fakes.clips import make_clip
from tests.fakes.daemon import Daemon
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.quick_daemon import ROOT, QuickDaemon, SmallDiskDaemon
from tests.fakes.starvation import starved
from tests.fakes.thrifty_recorder import policy_environment
from tests.fakes.waiting import wait_until
from tests.fakes.watching import Watcher
from tests.fakes.web_peer import Request, WebPeer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1500)]

Render = Callable[[str], Path]
F = Fault
CAMERAS = (F.GONE, F.BLACK, F.TORN, F.STUCK, F.LOOPING, F.SLOW)
PEOPLE = (F.MASKED, F.NO_MASK, F.FAR, F.SNOOZED, F.BAD_FILE, F.OTHER_MODEL, F.FEWER_KEPT)
STORE = (
    *(F.RECORDER_STUCK, F.BROKER_AWAY, F.BROKER_BACK, F.REFUSED, F.STARVED, F.LOCKED),
    *(F.LOW, F.FULL, F.UPGRADED, F.DOWN, F.RESTARTED),
)
# A person who vanished counts as left soon; the processor load is low.
SHORT_VISITS = "decision: {reassociate: 0.5}"
LIGHT = "rate: 4, smallest_face: 40"
NEAR = ((0.3, 7.0), (3.4, 2.9), (4.4, 1.0))
AWAY = ((0.3, 12.5), (4.4, 10.5))
# The recorder parks what is refused once while other alerts are accepted.
PARK_SOON = policy_environment(max_strikes=1, refused_for=0, failing_for=0)


def test_the_three_scenarios_induce_every_fault() -> None:
    assert sorted((*CAMERAS, *PEOPLE, *STORE)) == sorted(Fault)


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Render five seconds of a corridor: `empty`, or two people who are `masked`, `bare` or `far`."""
    folder = tmp_path_factory.mktemp("films")

    def film(who: str) -> Path:
        path = folder / f"{who}.mp4"
        if not path.exists():
            wear = Wear.MASKED if who == "masked" else Wear.BARE
            way = AWAY if who == "far" else NEAR
            figures = tuple(
                Figure(
                    tuple(Step(at + side / 5, side * (0.25 + z / 20), z) for at, z in way),
                    wear,
                    face=face,
                )
                for side, face in ((-1, 0), (1, 1))
            )
            scene = Scene(who, "e2e", 5, figures=() if who == "empty" else figures)
            render(scene, path, size=(960, 540), fps=15.0, faces=default_heads())
        return path

    return film


def watch(daemon: Daemon, folder: Path) -> Watcher:
    return Watcher(folder / "prometheus", f"127.0.0.1:{daemon.metrics_port}")


def rewrite(daemon: Daemon, old: str, new: str) -> None:
    text = daemon.config.read_text()
    assert old in text
    daemon.config.write_text(text.replace(old, new))


# --- cameras ------------------------------------------------------------------------------------------


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process; it may be killed for that meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    yield
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def killer(daemon: QuickDaemon, camera: str) -> Callable[[], None]:
    """Return a function that kills each process of the camera once."""
    killed = {0}

    def kill() -> None:
        pid = daemon.pid_of(camera)
        if pid not in killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)

    return kill


@pytest.mark.long
def test_panels_and_rules_show_camera_faults_and_no_counter_decreases(
    tmp_path: Path, film: Render
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=50, rate=10, gop=10)
    black = make_clip(tmp_path / "black.mp4", frames=50, rate=10, gop=10, black=True)
    names = ("gone", "black", "torn", "stuck", "looping", "slow")
    more = "mqtt: {enabled: false}\nsupervision: {offline_after: 4}"
    with RtspServer() as server:
        for name in names:
            server.add(name, film("bare") if name == "slow" else clip)
        cameras = "\n".join(f"  - {{name: {n}, url: '{server.url(n)}', {LIGHT}}}" for n in names)
        timeouts = {"initial_backoff": 0.05, "restart_budget": 4, "quarantine": 600.0}
        with (
            QuickDaemon(tmp_path, cameras, more, **timeouts) as daemon,
            watch(daemon, tmp_path) as watcher,
        ):
            watcher.wait_for('sum(maskwatch_camera_state{state="live"}) == 6')
            watcher.wait_quiet(*CAMERAS)
            with watcher.during(*CAMERAS) as pending, starved(daemon.pid_of("slow"), 0.3):
                server.faults("gone").close = True
                server.disconnect("gone")
                server.switch("black", black)
                server.faults("torn").corrupt = 0.3
                os.kill(daemon.pid_of("stuck"), signal.SIGSTOP)
                pending.wait(repeat=killer(daemon, "looping"))
            server.faults("torn").clear()
            frames = 'maskwatch_frames_total{camera="torn",fate="decoded"}'
            os.kill(daemon.pid_of("torn"), signal.SIGKILL)
            watcher.wait_for('maskwatch_process_restarts_total{camera="torn",reason="killed"} > 0')
            before = watcher.value(frames)
            assert before > 0, "the new process continues the counts of the old one"
            watcher.wait_for(f"{frames} > {before}")
            assert watcher.fallen() == []
            assert watcher.faults == set(CAMERAS)


# --- people and operators -----------------------------------------------------------------------------


def other_model(folder: Path) -> Path:
    """Write the shipped model under another name; return its manifest."""
    (manifest,) = (ROOT / "models").glob("masks-*.json")
    content = json.loads(manifest.read_text("utf-8"))
    shutil.copy(manifest.with_name(content["file"]), folder)
    path = folder / "another.json"
    path.write_text(json.dumps({**content, "id": "another"}))
    return path


@pytest.mark.long
def test_panels_and_rules_show_people_and_operator_actions(
    tmp_path: Path, film: Render, mosquitto: Mosquitto
) -> None:
    floor = "zones: [{name: floor, polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}]"
    more = (
        f"mqtt: {{port: {mosquitto.port}, commands: true}}\n"
        "store: {retention: {max_pictures: 1000, interval: 100000}}"
    )
    films = {who: film(who) for who in ("empty", "masked", "bare", "far")}
    with RtspServer() as server:
        server.add("door", films["empty"])
        camera = f"  - {{name: door, url: '{server.url('door')}', {floor}, {SHORT_VISITS}, {LIGHT}}}"
        with Daemon(tmp_path, camera, more) as daemon, watch(daemon, tmp_path) as watcher:
            daemon.wait_ready()
            watcher.wait_for('maskwatch_camera_state{camera="door",state="live"} == 1')
            watcher.wait_quiet(*PEOPLE)
            with watcher.during(F.MASKED):
                server.switch("door", films["masked"])
            watcher.wait_for(
                "maskwatch:compliance:ratio6h == 1 and maskwatch:people_judged:increase6h >= 2"
            )
            with watcher.during(F.NO_MASK):
                server.switch("door", films["bare"])
            queries = [q for q in (*panel_queries(), *record_queries()) if not q.expr.endswith("> 0")]
            wait_until(lambda: empty(watcher.prometheus, queries) == [], 60, "every query has data")
            for query in variable_queries():
                assert values(watcher, query), query.where
            check_text(daemon)
            with watcher.during(F.FAR):
                server.switch("door", films["far"])
            with watcher.during(F.SNOOZED), closing(Listener(mosquitto.port)) as operator:
                topic = Topics("maskwatch", "test").of(
                    Topic.CAMERA_COMMAND, camera="door", verb="snooze"
                )
                operator.publish(topic, b'{"seconds": 600}')
                server.switch("door", films["bare"])
            with watcher.during(F.BAD_FILE):
                rewrite(daemon, "node: test", "node: ''")
                assert daemon.run("reload").returncode == 3
            rewrite(daemon, "node: ''", "node: test")
            watcher.wait_for("maskwatch_retention_seconds_count >= 1")
            with watcher.during(F.FEWER_KEPT):
                rewrite(daemon, "max_pictures: 1000", "max_pictures: 1")
                assert daemon.run("reload", "--wait").returncode == 0
            with watcher.during(F.OTHER_MODEL):
                rewrite(daemon, "node: test", f"node: test\nmodel: {other_model(tmp_path)}")
                assert daemon.run("reload", "--wait").returncode == 0
            assert watcher.faults == set(PEOPLE)


def values(watcher: Watcher, query: Query) -> set[str]:
    """Return the values of a dashboard's variable."""
    selector, label = query.concrete().removeprefix("label_values(").removesuffix(")").rsplit(",", 1)
    return {labels[label.strip()] for labels, _ in watcher.ask(selector)}


def check_text(daemon: Daemon) -> None:
    """Check the daemon's metrics with Prometheus's own linter."""
    text = daemon.fetch("metrics").encode()
    command = ["promtool", "check", "metrics"]
    checked = subprocess.run(command, input=text, capture_output=True, check=False, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, b"")


# --- recorder, store, peers ---------------------------------------------------------------------------


class ModifiedDaemon(SmallDiskDaemon):
    """A daemon that runs a copy of the program, with its data on a resizable file system.

    In the copy a worker keeps 3 changes for an unreachable recorder, instead of 2,000.
    """

    def __init__(self, folder: Path, cameras: str, more: str, **timeouts: float) -> None:
        self.program = folder / "program"
        shutil.copytree(ROOT / "maskwatch", self.program / "maskwatch")
        shutil.copytree(ROOT / "models", self.program / "models")
        self.change("worker/resend_buffer.py", "max_changes: int = 2000", "max_changes: int = 3")
        env = {"PYTHONPATH": f"{self.program}{os.pathsep}{ROOT}", **PARK_SOON}
        super().__init__(folder, cameras, more, env, megabytes=8192, **timeouts)

    def change(self, module: str, old: str, new: str) -> None:
        path = self.program / "maskwatch" / module
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    def _enter(self) -> list[str]:
        """Return the prefix of a command that runs in the daemon's mount namespace."""
        return ["nsenter", "--target", str(self.process.pid), "--mount"]

    def resize(self, size: int, inodes: int = 0) -> None:
        """Set the size of the file system in bytes, and how many files fit; 0 for any number."""
        options = f"remount,size={size},nr_inodes={inodes}"
        subprocess.run(
            [*self._enter(), "mount", "-o", options, str(self.data)],
            check=False,
            capture_output=True,
        )

    def fill(self) -> None:
        """Leave no space, also not in the write-ahead log: truncate it first."""
        shrink = (
            "import sqlite3, sys\n"
            "sqlite3.connect(sys.argv[1], timeout=1).execute('PRAGMA wal_checkpoint(TRUNCATE)')\n"
        )
        with self._python(shrink):
            pass
        stat = os.statvfs(self.inside)
        self.resize((stat.f_blocks - stat.f_bfree) * stat.f_frsize)

    def _python(self, script: str) -> subprocess.Popen[bytes]:
        """Run a script beside the daemon, with the database's path as its argument."""
        command = [*self._enter(), sys.executable, "-c", script, str(self.data / "maskwatch.db")]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)

    def recorder(self) -> int:
        return self.status().recorder.pid or 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the database's write lock from another process."""
        hold = (
            "import sqlite3, sys\n"
            "other = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n"
            "other.execute('BEGIN IMMEDIATE')\n"
            "print('held', flush=True)\n"
            "sys.stdin.read()\n"
        )
        with self._python(hold) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            yield
            other.communicate()


def refuse_half(request: Request) -> int:
    """Answer 400 to the alerts of every other violation."""
    (alert, *_) = json.loads(request.body)["alerts"]
    return 400 if int(alert["id"][-1], 16) % 2 else 200


@pytest.mark.long
def test_panels_and_rules_show_faults_of_the_store_and_its_peers(
    tmp_path: Path, film: Render, mosquitto: Mosquitto
) -> None:
    tickets = WebPeer()
    more = (
        f"mqtt: {{port: {mosquitto.port}, ack_timeout: 2}}\n"
        f"people:\n  - {{name: tickets, webhook: 'http://127.0.0.1:{tickets.port}/', key: k, "
        "burst: 100}\n"
        "store: {reserve_megabytes: 1, retention: {interval: 3}}\n"
        "supervision: {fork_workers: false}"  # a forked worker has the program of the zygote's start
    )
    with closing(tickets), RtspServer() as server:
        server.add("door", film("bare"))
        camera = f"  - {{name: door, url: '{server.url('door')}', decision: {{reassociate: 0.5}}}}"
        with (
            ModifiedDaemon(tmp_path, camera, more, heartbeat=25.0) as daemon,
            watch(daemon, tmp_path) as watcher,
        ):
            daemon.wait_ready()
            watcher.wait_for('maskwatch_alerts_total{sink="mqtt",fate="accepted"} >= 4')
            watcher.wait_quiet(*STORE)
            with watcher.during(F.BROKER_BACK):
                with watcher.during(F.BROKER_AWAY, F.REFUSED):
                    mosquitto.stop()
                    tickets.judge = refuse_half
                tickets.judge = lambda _: 200
                mosquitto.start()
            with watcher.during(F.LOCKED), daemon.locked():
                time.sleep(4)  # people come and go meanwhile
            watcher.wait_for("sum(maskwatch_changes_unacknowledged) == 0")
            with watcher.during(F.RECORDER_STUCK) as pending, stopped(daemon.recorder()):
                pending.wait()
            watcher.wait_for("sum(maskwatch_changes_unacknowledged) == 0")
            with watcher.during(F.STARVED) as pending, starved(daemon.recorder(), 0.6):
                pending.wait()
            with watcher.during(F.LOW):
                daemon.resize(900 << 20, inodes=9000)
            with watcher.during(F.FULL) as pending:
                pending.wait(repeat=daemon.fill)
            daemon.resize(8 << 30)
            watcher.wait_for("maskwatch_alerts_unstored == 0")
            with watcher.during(F.UPGRADED):
                daemon.change(
                    "telemetry/catalogue.py", '"maskwatch_faces_total"', '"maskwatch_heads_total"'
                )
                os.kill(daemon.pid_of("door"), signal.SIGKILL)
            with watcher.during(F.RESTARTED):
                with watcher.during(F.DOWN):
                    daemon.process.kill()
                daemon.process.wait(10)
                daemon.start()
            assert watcher.faults == set(STORE)
