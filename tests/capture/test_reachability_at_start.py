"""Who is at home is found out at once, whoever is not."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

from maskwatch.capture.reachability import ReachabilityProbe
from maskwatch.config.schema import CameraConfig
from maskwatch.lab.broker import free_port
from maskwatch.secrets import SecretUrl


def camera(name: str, url: str, *, enabled: bool = True) -> CameraConfig:
    return CameraConfig(name=name, url=SecretUrl(url), enabled=enabled)


def test_cameras_where_somebody_listens_answer_and_nobody_else_does(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        home = f"rtsp://127.0.0.1:{port}/a"
        bell = ReachabilityProbe(
            [
                camera("closed", f"rtsp://127.0.0.1:{free_port()}/a"),
                camera("by-name", f"rtsp://localhost:{port}/a"),
                camera("disabled", home, enabled=False),
                camera("home", home),
                camera("file", str(tmp_path / "a.mp4")),
                *(camera(f"many-{number}", home) for number in range(120)),
            ]
        )
        server.listen(200)
        asyncio.run(bell.ring(30))
    assert bell.answered == {"home", "file", *(f"many-{number}" for number in range(120))}


def test_an_address_that_never_answers_keeps_no_other_and_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as mute:
        port = mute.getsockname()[1]
        callers = [socket.socket() for _ in range(4)]  # fill the queue: the next is not answered
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", 0)) as server:
            good = f"rtsp://127.0.0.1:{server.getsockname()[1]}/a"
            bell = ReachabilityProbe(
                [camera("mute", f"rtsp://127.0.0.1:{port}/a"), camera("good", good)]
            )
            began = time.monotonic()
            asyncio.run(bell.ring(0.5))
        assert time.monotonic() - began < 30
        for caller in callers:
            caller.close()
    assert bell.answered == {"good"}
