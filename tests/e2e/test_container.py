"""The real daemon with the container's settings: its own user, no capabilities, a read-only root.

A mount namespace replaces the container, since there is no Docker daemon. The command, the user, the
health check and the writable paths are those of the Dockerfile and of compose.yaml.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.lab.broker import free_port
from maskwatch.lab.rtsp import RtspServer
from tests.deploy.containers import DOCKERFILE, SERVICES
from tests.deploy.queries import DEPLOY
from tests.fakes.mosquitto import Listener, Mosquitto, password_lines
from tests.fakes.waiting import wait_until
from tests.fakes.web_peer import WebPeer

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a mount namespace"),
]

USER = 10001
PASSWORD = "throw-away"
SCRIPT = Path(__file__).with_name("container.sh")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Run Mosquitto with the shipped access list."""
    folder = tmp_path / "broker"
    folder.mkdir()
    lines = password_lines(folder, ("gate", "viewer"), PASSWORD)
    (folder / "acl").write_text((DEPLOY / "mosquitto/acl").read_text("utf-8"))
    with Mosquitto(folder, [*lines, f"acl_file {folder}/acl"]) as broker:
        yield broker


def configuration(folder: Path, broker: Mosquitto, metrics: int, guards: int) -> None:
    """Write the shipped configuration; only hosts, ports and a channel differ."""
    text = (DEPLOY / "maskwatch/config.yaml").read_text("utf-8")
    text = text.replace("host: mosquitto", f"host: 127.0.0.1\n  port: {broker.port}")
    text = text.replace("host: 0.0.0.0", f"host: 127.0.0.1\n  port: {metrics}")
    text += f"people:\n  - {{name: guards, url: 'json://127.0.0.1:{guards}', incidents: false}}\n"
    path = folder / "config.yaml"
    path.write_text(text)


def health_check(metrics: int) -> list[str]:
    """Return the Dockerfile's health check, with this Python and this port."""
    (text,) = re.findall(r"HEALTHCHECK .* CMD \\\n\s*(\[.*\])", DOCKERFILE)
    command: list[str] = json.loads(text)
    return [sys.executable, *(part.replace("9464", str(metrics)) for part in command[1:])]


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in listed]


def rights(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.long
@pytest.mark.timeout(180)
def test_the_daemon_runs_unprivileged_on_a_read_only_root(
    tmp_path: Path, visitor: Path, broker: Mosquitto, root: Path
) -> None:
    assert SERVICES["maskwatch"]["cap_drop"] == ["ALL"]
    assert SERVICES["maskwatch"]["read_only"]
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/mqtt_password").write_text(PASSWORD)
    metrics = free_port()
    guards = WebPeer()
    configuration(tmp_path, broker, metrics, guards.port)
    paths = [str(tmp_path), str(root), sys.prefix, sys.base_prefix]
    command = ["-m", "maskwatch", "run", "--config", "/run/config.yaml"]
    with RtspServer() as server, (tmp_path / "log").open("wb") as log:
        server.add("door", visitor)
        viewer = Listener(broker.port, username="viewer", password=PASSWORD)
        process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", str(SCRIPT), *paths, *command],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": "/run/code",
                "FRONT_DOOR_URL": f"rtsp://{server.host}:{server.port}/door",
            },
            stdout=log,
            stderr=log,
        )
        try:
            check = health_check(metrics)

            def is_healthy() -> bool:
                assert process.poll() is None, (tmp_path / "log").read_text()
                return subprocess.run(check, capture_output=True, check=False).returncode == 0

            wait_until(is_healthy, 60, "the health check succeeds")
            state = "maskwatch/gate/camera/front%20door/state"
            viewer.wait(lambda seen: any(m.topic == state and b'"live"' in m.payload for m in seen), 60)
            viewer.wait_for("maskwatch/gate/camera/front%20door/violation", seconds=60)
            # Apprise works under these restrictions too, and finds the picture.
            notification = json.loads(guards.wait(1, 60)[0].body)
            assert "front door" in notification["title"]
            assert [each["mimetype"] for each in notification["attachments"]] == ["image/jpeg"]
            pids = [process.pid, *children(process.pid)]
            assert len(pids) >= 3
            for pid in pids:
                found = rights(pid)
                assert found["Uid"].split() == [str(USER)] * 4
                assert int(found["CapEff"], 16) == int(found["CapBnd"], 16) == 0
                assert found["NoNewPrivs"] == "1"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, (tmp_path / "log").read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            viewer.close()
            guards.close()
    log_text = (tmp_path / "log").read_text()
    assert "Read-only file system" not in log_text
    assert "Traceback" not in log_text
