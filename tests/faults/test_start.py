"""The daemon starts while something that it needs is missing, and waits for it."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.errors import ConfigError, ModelError, StoreTooNewError, TemporaryError, UsageError
from maskwatch.lab.broker import free_port
from tests.fakes.certificates import make_certificates
from tests.fakes.daemon import children_of, module_of
from tests.fakes.failpoint import BEFORE_THE_SUPERVISOR, FAILPOINTS
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.mqtt_alerts import alerts_of
from tests.fakes.quick_daemon import IDLE_CAMERA, QuickDaemon, dead_cameras, is_alive, wait_started
from tests.fakes.samples import change
from tests.fakes.systemd_socket import SystemdSocket
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

_QUICK = {"recorder_start": 0.3, "initial_backoff": 0.2, "max_backoff": 1.0}
_NO_BROKER = "mqtt: {enabled: false}"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[SystemdSocket]:
    with SystemdSocket(tmp_path) as made:
        yield made


def incidents_of(daemon: QuickDaemon) -> set[str]:
    return {str(incident.kind) for incident in daemon.status().incidents}


CHILDREN = {"maskwatch.recorder", "maskwatch.worker", "maskwatch.worker.model_check"}


def test_a_child_that_is_still_starting_dies_with_its_supervisor(tmp_path: Path) -> None:
    """Each is stopped as soon as its program runs, so that only the kernel can end it."""
    programs = "mqtt: {enabled: false}\nsupervision: {fork_workers: false}"
    with QuickDaemon(tmp_path, dead_cameras(1), programs, **_QUICK) as daemon:
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
        wait_until(lambda: systemd.ready, 20, "the daemon is ready without it")
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
        pytest.param("data", "size=90m,nr_inodes=1", "size=90m,nr_inodes=1000", marks=pytest.mark.sweep),
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


@pytest.mark.long
def test_a_secret_that_comes_later_delays_only_what_needs_it(
    tmp_path: Path, systemd: SystemdSocket
) -> None:
    late = tmp_path / "not-mounted-yet"
    port = free_port()
    cameras = (
        f"{dead_cameras(1)}\n{IDLE_CAMERA}\n"
        f"  - {{name: late, url: 'rtsp://127.0.0.1:{port}/x', username: ann, "
        f"password: 'file:{late}/camera'}}"
    )
    with Mosquitto(tmp_path) as broker, Listener(broker.port) as listener:
        more = f"mqtt: {{port: {broker.port}, username: ann, password: 'file:{late}/mqtt'}}"
        with QuickDaemon(tmp_path, cameras, more, systemd.env, **_QUICK) as daemon:
            wait_until(lambda: systemd.status and systemd.ready, 60, "the daemon is ready")
            wait_until(lambda: daemon.status().recorder.phase == "running", 60, "the recorder runs")
            wait_until(lambda: bool(daemon.pid_of("c0")), 60, "the other camera has its worker")
            assert daemon.pid_of("late") == 0
            assert daemon.state_of("late") == "backoff"
            assert f"{late}/camera cannot be read" in daemon.camera("late").reason
            assert "waiting for the configuration" in systemd.status
            with daemon.connect_worker("door") as worker:
                worker.send(change(1))
                assert worker.wait(1)[0].stored
            assert daemon.metric("maskwatch_sink_ready", sink="mqtt") == 0
            assert not alerts_of(listener)
            late.mkdir()
            (late / "camera").write_text("CANARY-4711\n")
            (late / "mqtt").write_text("CANARY-4712\n")
            wait_until(lambda: bool(daemon.pid_of("late")), 60, "the camera has its worker")
            wait_until(lambda: bool(alerts_of(listener)), 60, "the alert is delivered")
            wait_until(lambda: "waiting for" not in systemd.status, 20, "nothing is missing")
            assert "CANARY" not in daemon.log() + systemd.status
            assert daemon.stop() == 0


@pytest.mark.long
def test_files_that_come_later_are_waited_for(
    tmp_path: Path, systemd: SystemdSocket, root: Path
) -> None:
    """The certificate of the broker, the key of the links, a channel's key, and the model."""
    late = tmp_path / "not-mounted-yet"
    links = free_port()
    more = (
        f"mqtt: {{port: {free_port()}, tls: true, ca_file: {late}/ca.pem}}\n"
        f"links: {{enabled: true, port: {links}, key: 'file:{late}/links'}}\n"
        f"people: [{{name: guard, webhook: 'http://127.0.0.1:1/', key: 'file:{late}/hook'}}]\n"
        f"model: {late}/masks-112.json\nsupervision: {{offline_after: 2}}"
    )
    with QuickDaemon(
        tmp_path, f"{dead_cameras(1)}\n{IDLE_CAMERA}", more, systemd.env, **_QUICK
    ) as daemon:
        wait_until(lambda: systemd.status and systemd.ready, 60, "the daemon is ready")
        wait_started(daemon)
        wait_until(lambda: "waiting for models" in systemd.status, 60, "the model is waited for")
        for key in ("mqtt.ca_file", "links.key", "people[0].key", "model"):
            assert key in systemd.status
        wait_until(lambda: "unavailable" in incidents_of(daemon), 30, "it is an incident")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", links), 5).close()
        late.mkdir()
        (late / "links").write_text("a key for tests of thirty-two chars\n")
        (late / "hook").write_text("what-signs-requests\n")
        make_certificates(tmp_path)
        (late / "ca.pem").write_bytes((tmp_path / "ca.crt").read_bytes())
        for file in (root / "models").glob("masks-112.*"):
            (late / file.name).write_bytes(file.read_bytes())
        wait_until(lambda: "waiting for" not in systemd.status, 90, "nothing is missing")
        socket.create_connection(("127.0.0.1", links), 5).close()
        wait_until(lambda: "unavailable" not in incidents_of(daemon), 30, "the incident has ended")
        assert daemon.stop() == 0


def test_a_missing_configuration_file_may_come_later(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "maskwatch", "run", "--config", str(tmp_path / "config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 15
    assert "cannot be read now" in done.stderr


def test_a_wrong_value_still_ends_the_daemon_beside_a_missing_secret(tmp_path: Path) -> None:
    camera = f"  - {{name: late, url: 'file:{tmp_path}/missing', rate: many}}"
    done = QuickDaemon(tmp_path, camera).run("run")
    assert done.returncode == 3
    assert "rate" in done.stderr


def test_no_code_of_what_may_pass_prevents_a_restart(root: Path) -> None:
    unit = (root / "systemd" / "maskwatch.service").read_text()
    (prevented,) = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    codes = {kind.exit_code for kind in (UsageError, ConfigError, StoreTooNewError, ModelError)}
    assert set(map(int, prevented.split())) == codes
    assert TemporaryError.exit_code not in codes


@pytest.mark.long
@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=[pytest.mark.sweep] if number % 6 else [])
        for number, point in enumerate(FAILPOINTS)
    ],
)
def test_a_supervisor_killed_at_any_point_leaves_nothing_that_disturbs_the_next(
    point: str, tmp_path: Path
) -> None:
    daemon = QuickDaemon(tmp_path, dead_cameras(1), env={"MASKWATCH_TEST_FAILPOINT": point}, **_QUICK)
    with daemon:
        with contextlib.suppress(AssertionError):  # killed before, or by one of the signals
            wait_started(daemon)
            daemon.process.send_signal(signal.SIGHUP)
            time.sleep(1)
            daemon.process.terminate()
        assert daemon.process.wait(60) == -signal.SIGKILL
        wait_until(lambda: not processes_in(tmp_path), 10, "no process is left")
    with QuickDaemon(tmp_path, dead_cameras(1), **_QUICK) as successor:
        wait_started(successor)
        assert successor.stop() == 0


@pytest.mark.long
def test_a_start_killed_before_there_is_a_supervisor_disturbs_no_next_one(tmp_path: Path) -> None:
    successor = QuickDaemon(tmp_path, dead_cameras(1), **_QUICK)
    program = [sys.executable, "-m", "tests.fakes.failpoint"]
    for point in BEFORE_THE_SUPERVISOR:
        command = [*program, point, "run", "--config", str(successor.config)]
        done = subprocess.run(
            command, env=successor._env, cwd=tmp_path, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == -signal.SIGKILL, f"{point}: {done.stderr.decode()}"
    assert not processes_in(tmp_path)
    with successor:
        wait_started(successor)
        assert successor.stop() == 0


@pytest.mark.long
def test_a_supervisor_killed_as_it_finds_something_missing_disturbs_no_next_one(tmp_path: Path) -> None:
    point = {"MASKWATCH_TEST_FAILPOINT": "maskwatch.supervisor.prerequisites:Prerequisites._report"}
    daemon = QuickDaemon(tmp_path, dead_cameras(1), **_QUICK)
    with socket.create_server(("127.0.0.1", daemon.metrics_port)):
        daemon.start(**point)
        assert daemon.process.wait(60) == -signal.SIGKILL
        wait_until(lambda: not processes_in(tmp_path), 10, "no process is left")
    with daemon:
        wait_started(daemon)
        assert daemon.stop() == 0


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose working directory is `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == folder and is_alive(int(process.name)):
                found.append(int(process.name))
    return found
