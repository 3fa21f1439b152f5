"""How every child begins: real processes."""

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
    uplink, configure = child.start({fd}, "worker", timeout={timeout})
except WireError as error:
    print("refused:", error); sys.exit(12)
"""


class Parent:
    """Starts a child with a line to it, as the supervisor does."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.channel: Channel[ToSupervisor] = Channel(ours, TO_SUPERVISOR)

    def start(self, code: str, *, timeout: float = 10.0, fd: int | None = None) -> subprocess.Popen[str]:
        number = self.theirs.fileno() if fd is None else fd
        process = subprocess.Popen(
            [sys.executable, "-c", START.format(fd=number, timeout=timeout) + code],
            pass_fds=(self.theirs.fileno(),),
            env={**os.environ, "NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.theirs.close()
        return process


@pytest.fixture
def parent() -> Iterator[Parent]:
    made = Parent()
    yield made
    made.theirs.close()
    made.channel.close()


def configure() -> Configure:
    camera = CameraConfig(name="hall", url=SecretUrl("rtsp://h/s"))
    return Configure(config=Config(cameras=(camera,)), recorder="/r", camera="hall", attempt=2)


def said(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=30)[0].strip()


def test_it_is_told_its_configuration(parent: Parent) -> None:
    parent.channel.send(configure())
    assert said(parent.start("print(configure.camera, configure.attempt)")) == "hall 2"


def test_what_is_systemd_s_is_taken_from_its_environment(parent: Parent) -> None:
    parent.channel.send(configure())
    process = parent.start("print([n for n in os.environ if n in ('NOTIFY_SOCKET', 'WATCHDOG_USEC')])")
    assert said(process) == "[]"


def test_only_its_supervisor_ends_it(parent: Parent) -> None:
    parent.channel.send(configure())
    process = parent.start(
        "for s in ('SIGTERM', 'SIGINT', 'SIGHUP'): os.kill(os.getpid(), getattr(signal, s))\n"
        "print('alive')"
    )
    assert said(process) == "alive"


def test_a_message_that_came_with_the_configuration_still_wakes_its_selector(parent: Parent) -> None:
    parent.channel.send(configure())
    parent.channel.send(Stop(grace=3.0))
    process = parent.start(
        "print(bool(select.select([uplink], [], [], 5)[0]), uplink.messages()[0].grace)"
    )
    assert said(process) == "True 3.0"


def test_another_first_message_is_refused(parent: Parent) -> None:
    parent.channel.send(Stop(grace=3.0))
    assert "expected configure first, got Stop" in said(parent.start(""))


def test_a_supervisor_that_says_nothing_is_not_waited_for_for_ever(parent: Parent) -> None:
    process = parent.start("", timeout=0.3)
    assert "did not say what to do" in said(process)
    assert process.returncode == 12


def test_a_descriptor_that_is_no_line_is_refused(parent: Parent) -> None:
    assert "not a line to a supervisor" in said(parent.start("", fd=250))


def test_a_child_whose_parent_is_not_the_line_s_other_end_ends_at_once(parent: Parent) -> None:
    """As one does whose supervisor died before the parent-death signal was set."""
    parent.channel.send(configure())
    number = parent.theirs.fileno()
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
