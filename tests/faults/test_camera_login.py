"""Logins and redirects of cameras in the real daemon, whose workers are sandboxed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from maskwatch.lab.rtsp import AuthScheme, RtspServer
from tests.fakes.clips import make_clip
from tests.fakes.quick_daemon import QuickDaemon
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

_TIMEOUTS = {"initial_backoff": 0.05, "max_backoff": 0.1}
_USERS = {"ann": "CANARY-4711"}


@pytest.mark.long
def test_each_login_and_a_redirect_work_in_the_sandbox(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=50, rate=10, gop=10)
    with ExitStack() as stack:
        servers = {
            scheme: stack.enter_context(RtspServer(users=_USERS, auth=scheme)) for scheme in AuthScheme
        }
        door = stack.enter_context(RtspServer(users=_USERS))
        for server in (*servers.values(), door):
            server.add("hall", clip)
        target = servers[AuthScheme.DIGEST]
        door.faults("hall").redirect = f"rtsp://127.0.0.1:{target.port}/hall"
        rows = {scheme.value: (server, "") for scheme, server in servers.items()}
        rows["allowed"] = servers[AuthScheme.BASIC], ", auth: any"
        rows["redirected"] = door, ""
        other = stack.enter_context(RtspServer("127.0.0.2", users=_USERS))
        other.add("hall", clip)
        away = stack.enter_context(RtspServer(users=_USERS))
        away.add("hall", clip)
        away.faults("hall").redirect = other.url("hall")
        rows["elsewhere"] = away, f", redirect_hosts: ['127.0.0.2:{other.port}']"
        rows["udp"] = target, ", transport: udp"
        cameras = "\n".join(
            f"  - {{name: {name}, url: '{server.url('hall')}', rate: 1{more}}}"
            for name, (server, more) in rows.items()
        )
        daemon = stack.enter_context(QuickDaemon(tmp_path, cameras, **_TIMEOUTS))
        daemon.wait_ready(120)
        for name in rows.keys() - {"basic"}:
            wait_until(lambda name=name: daemon.state_of(name) == "live", 120, f"{name} is live")
        refused = "offers only Basic without TLS"
        wait_until(lambda: refused in daemon.camera("basic").reason, 60, "the refusal is explained")
        assert daemon.stop() == 0
        log = daemon.log()
        assert "its camera redirects to another port" in log
        assert "CANARY" not in log
