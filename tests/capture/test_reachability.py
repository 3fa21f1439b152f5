"""A worker waits for somebody to listen before it loads anything heavy."""

from __future__ import annotations

import socket
import time

from maskwatch.capture.reachability import ReachabilityWait
from maskwatch.clock import ManualClock
from maskwatch.config.schema import CameraConfig
from maskwatch.domain import CameraState
from maskwatch.lab.broker import free_port
from maskwatch.secrets import SecretUrl


class Door:
    """A knocker at a port, its clock, and what it said."""

    def __init__(self, url: str, attempt: int = 0) -> None:
        self.clock = ManualClock()
        self.failures: list[str] = []
        self.states: list[CameraState] = []
        camera = CameraConfig(name="hall", url=SecretUrl(url), open_timeout=2.0)
        self.knocker = ReachabilityWait(
            camera, clock=self.clock, attempt=attempt, on_failure=self.failures.append
        )

    def knock(self) -> bool:
        return self.knocker.try_when_due(
            self.clock.advance, lambda: self.states.append(self.knocker.machine.state)
        )


def test_an_open_port_is_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        door = Door(f"rtsp://127.0.0.1:{server.getsockname()[1]}/x")
        assert door.knock()
        assert door.states == [CameraState.CONNECTING]


def test_a_closed_port_is_tried_again_with_growing_pauses() -> None:
    door = Door(f"rtsp://127.0.0.1:{free_port()}/x")
    began = door.clock.monotonic()
    while len(door.failures) < 8:
        assert not door.knock()
    assert set(door.failures) == {"refused"}
    assert door.knocker.machine.attempt == 8
    assert door.clock.monotonic() - began > 5
    assert door.states[-1] is CameraState.BACKOFF
    assert "nobody listens there" in door.knocker.machine.reason


def test_told_to_stop_it_waits_for_no_silent_host() -> None:
    """192.0.2.0/24 is for documentation: nobody answers there, if a packet leaves at all."""
    door = Door("rtsp://192.0.2.1/x")
    began = time.monotonic()
    assert not door.knocker.try_when_due(lambda _: True, lambda: None)
    assert time.monotonic() - began < 1.5
    assert door.failures[0] in ("silent", "unreachable", "refused")


def test_an_unknown_host_is_said_without_the_credentials() -> None:
    door = Door("rtsp://user:hunter22@no-such-host.invalid/x")
    assert not door.knock()
    assert door.failures == ["unreachable"]
    assert "the host name is unknown" in door.knocker.machine.reason
    assert "hunter22" not in door.knocker.machine.reason


def test_the_replacement_of_a_hung_worker_waits_first() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        door = Door(f"rtsp://127.0.0.1:{server.getsockname()[1]}/x", attempt=5)
        assert not door.knock()
        while not door.knock():
            pass
        assert door.clock.monotonic() >= 0.2


def test_a_file_needs_no_knock() -> None:
    assert Door("/var/clips/a.mp4").knock()
