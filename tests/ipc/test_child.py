"""The start of a child process, in real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from maskwatch.config.schema import CameraConfig, Config
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.messages import Configure, Stop, ToSupervisor
from maskwatch.ipc.wire import TO_SUPERVISOR
from maskwatch.secrets import SecretUrl

START = """
import os, select, signal, sys
from maskwatch.errors import WireError
from maskwatch.ipc import child
try:
    supervisor, configure = child.start({fd}, "worker", timeout={timeout})
except WireError as error:
    print("refused:", error); sys.exit(12)
"""


class FakeSupervisor:
    """Starts a child with a channel to it, as the supervisor does."""

    def __init__(self) -> None:
        near, self.far = socket.socketpair()
        self.channel: Channel[ToSupervisor] = Channel(near, TO_SUPERVISOR)

    def start(self, code: str, *, timeout: float = 10.0, fd: int | None = None) -> subprocess.Popen[str]:
        number = self.far.fileno() if fd is None else fd
        process = subprocess.Popen(
            [sys.executable, "-c", START.format(fd=number, timeout=timeout) + code],
            pass_fds=(self.far.fileno(),),
            env={**os.environ, "NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.far.close()
        return process


@pytest.fixture
def parent() -> Iterator[FakeSupervisor]:
    made = FakeSupervisor()
    yield made
    made.far.close()
    made.channel.close()


def configure() -> Configure:
    camera = CameraConfig(name="hall", url=SecretUrl("rtsp://h/s"))
    return Configure(config=Config(cameras=(camera,)), recorder="/r", camera="hall", attempt=2)


def output_of(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=30)[0].strip()


def test_a_child_receives_its_configuration(parent: FakeSupervisor) -> None:
    parent.channel.send(configure())
    assert output_of(parent.start("print(configure.camera, configure.attempt)")) == "hall 2"


def test_systemd_s_variables_are_removed_from_its_environment(parent: FakeSupervisor) -> None:
    parent.channel.send(configure())
    process = parent.start("print([n for n in os.environ if n in ('NOTIFY_SOCKET', 'WATCHDOG_USEC')])")
    assert output_of(process) == "[]"


def test_termination_signals_do_not_end_a_child(parent: FakeSupervisor) -> None:
    parent.channel.send(configure())
    process = parent.start(
        "for s in ('SIGTERM', 'SIGINT', 'SIGHUP'): os.kill(os.getpid(), getattr(signal, s))\n"
        "print('alive')"
    )
    assert output_of(process) == "alive"


def test_a_message_behind_the_configuration_still_wakes_the_selector(parent: FakeSupervisor) -> None:
    parent.channel.send(configure())
    parent.channel.send(Stop(grace=3.0))
    process = parent.start(
        "print(bool(select.select([supervisor], [], [], 5)[0]), supervisor.messages()[0].grace)"
    )
    assert output_of(process) == "True 3.0"


def test_another_first_message_is_refused(parent: FakeSupervisor) -> None:
    parent.channel.send(Stop(grace=3.0))
    assert "expected configure first, got Stop" in output_of(parent.start(""))


def test_waiting_for_the_configuration_is_bounded(parent: FakeSupervisor) -> None:
    process = parent.start("", timeout=0.3)
    assert "sent no configuration" in output_of(process)
    assert process.returncode == 12


def test_a_descriptor_that_is_not_a_socket_is_refused(parent: FakeSupervisor) -> None:
    assert "not a channel to a supervisor" in output_of(parent.start("", fd=250))


def test_a_child_whose_parent_is_not_its_supervisor_exits(parent: FakeSupervisor) -> None:
    """As one does whose supervisor died before the parent-death signal was set."""
    parent.channel.send(configure())
    number = parent.far.fileno()
    code = START.format(fd=number, timeout=10) + "print('survived')"
    outer = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], pass_fds=({number},))"
    )
    done = subprocess.run(
        [sys.executable, "-c", outer],
        pass_fds=(number,),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "survived" not in done.stdout
