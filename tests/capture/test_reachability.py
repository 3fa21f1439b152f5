"""Whether a camera's address accepts connections, found out by plain TCP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.capture.reachability import ReachabilityProbe, ReachabilityWait
from maskwatch.clock import ManualClock
from maskwatch.config.schema import CameraConfig
from maskwatch.domain import CameraState
from maskwatch.lab.broker import free_port
from maskwatch.secrets import SecretUrl


def camera(name: str, url: str, *, enabled: bool = True) -> CameraConfig:
    return CameraConfig(name=name, url=SecretUrl(url), enabled=enabled, open_timeout=2.0)


def url_of(server: socket.socket) -> str:
    return f"rtsp://127.0.0.1:{server.getsockname()[1]}/x"


def closed_url() -> str:
    return f"rtsp://127.0.0.1:{free_port()}/x"


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        yield server


# -- the worker's wait for one camera ----------------------------------------------------------


class Waiting:
    """A `ReachabilityWait` with a manual clock, and what it reported."""

    def __init__(self, url: str, attempt: int = 0) -> None:
        self.clock = ManualClock()
        self.failures: list[str] = []
        self.states: list[CameraState] = []
        self.reachability = ReachabilityWait(
            camera("hall", url), clock=self.clock, attempt=attempt, on_failure=self.failures.append
        )

    def attempt(self) -> bool:
        return self.reachability.attempt_when_due(self.clock.advance, self._note_state)

    def _note_state(self) -> None:
        self.states.append(self.reachability.connection.state)


def test_an_open_port_is_reachable(server: socket.socket) -> None:
    waiting = Waiting(url_of(server))
    assert waiting.attempt()
    assert waiting.states == [CameraState.CONNECTING]


def test_a_closed_port_is_tried_again_with_growing_delays() -> None:
    waiting = Waiting(closed_url())
    began = waiting.clock.monotonic()
    while len(waiting.failures) < 8:
        assert not waiting.attempt()
    assert set(waiting.failures) == {"refused"}
    assert waiting.reachability.connection.attempt == 8
    assert waiting.clock.monotonic() - began > 5
    assert waiting.states[-1] is CameraState.BACKOFF
    assert "connection refused" in waiting.reachability.connection.reason


def test_a_stop_ends_the_wait_for_a_silent_host() -> None:
    """192.0.2.0/24 is for documentation: no host there answers, if a packet leaves at all."""
    waiting = Waiting("rtsp://192.0.2.1/x")
    began = time.monotonic()
    assert not waiting.reachability.attempt_when_due(lambda _: True, lambda: None)
    assert time.monotonic() - began < 6.0
    assert waiting.failures[0] in ("silent", "unreachable", "refused")


def test_an_unknown_host_is_reported_without_the_credentials() -> None:
    waiting = Waiting("rtsp://user:hunter22@no-such-host.invalid/x")
    assert not waiting.attempt()
    assert waiting.failures == ["unreachable"]
    assert "the host name is unknown" in waiting.reachability.connection.reason
    assert "hunter22" not in waiting.reachability.connection.reason


def test_the_replacement_of_a_hung_worker_waits_first(server: socket.socket) -> None:
    waiting = Waiting(url_of(server), attempt=5)
    assert not waiting.attempt()
    while not waiting.attempt():
        pass
    assert waiting.clock.monotonic() >= 0.2


def test_a_file_is_always_reachable() -> None:
    assert Waiting("/var/clips/a.mp4").attempt()


def test_a_worker_does_not_import_asyncio() -> None:
    program = "import sys, maskwatch.worker.main; print('asyncio' in sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


# -- the supervisor's probe of all cameras -----------------------------------------------------


def test_the_probe_finds_the_cameras_whose_port_is_open(server: socket.socket, tmp_path: Path) -> None:
    url = url_of(server)
    many = [f"many-{number}" for number in range(120)]
    probe = ReachabilityProbe(
        [
            camera("closed", closed_url()),
            camera("by-name", url.replace("127.0.0.1", "localhost")),
            camera("disabled", url, enabled=False),
            camera("open", url),
            camera("file", str(tmp_path / "a.mp4")),
            *(camera(name, url) for name in many),
        ]
    )
    asyncio.run(probe.run(30))
    assert probe.reachable == {"open", "file", *many}


@contextlib.contextmanager
def silent_address() -> Iterator[str]:
    """A listener whose queue is full: further connections get no answer."""
    with contextlib.ExitStack() as stack:
        mute = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(mute.getsockname())
        yield url_of(mute)


def test_a_silent_address_delays_no_other_and_is_given_up(server: socket.socket) -> None:
    with silent_address() as silent:
        probe = ReachabilityProbe([camera("silent", silent), camera("open", url_of(server))])
        began = time.monotonic()
        asyncio.run(probe.run(0.5))
        assert time.monotonic() - began < 30
    assert probe.reachable == {"open"}
