"""No output contains a password, not even after an error about it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maskwatch.lab.rtsp import RtspServer
from tests.fakes.daemon import Daemon
from tests.fakes.mosquitto import Listener, Mosquitto, password_lines
from tests.fakes.waiting import wait_until

pytestmark = pytest.mark.faults

CAMERA = "c4nary-Camera-pw"
ENCODED = "c4nary%2FEnc0ded"  # as in a URL; the camera receives c4nary/Enc0ded
BROKER = "c4nary-Broker-pw"
READER = "reader-password"
CANARIES = (CAMERA, ENCODED, "c4nary/Enc0ded", BROKER, "c4nary")


def _process_list() -> str:
    return subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True
    ).stdout


def _broker(folder: Path) -> Mosquitto:
    folder.mkdir()
    lines = password_lines(folder, ["maskwatch"], BROKER)
    password_lines(folder, ["reader"], READER)
    broker = Mosquitto(folder, lines)
    broker.start()
    return broker


@pytest.mark.long
def test_passwords_are_in_no_log_metric_topic_status_error_file_or_process_list(
    tmp_path: Path, visitor: Path
) -> None:
    broker = _broker(tmp_path / "broker")
    with RtspServer(users={"viewer": "something-else"}) as server:
        server.add("door", visitor)
        address = f"{server.host}:{server.port}"
        cameras = (
            f"  - {{name: refused, url: 'rtsp://viewer:{CAMERA}@{address}/door'}}\n"
            f"  - {{name: encoded, url: 'rtsp://viewer:{ENCODED}@{address}/door'}}\n"
            f"  - {{name: missing, url: 'rtsp://viewer:{CAMERA}@127.0.0.1:9/none'}}\n"
            f"  - {{name: keyed, url: 'rtsp://{address}/door', username: viewer,"
            " password: '${CAMERA_PW}'}"
        )
        mqtt_part = (
            f"mqtt: {{port: {broker.port}, username: maskwatch, password: '${{BROKER_PW}}'}}\n"
            "log: {level: debug}"
        )
        listener = Listener(broker.port, username="reader", password=READER)
        secrets = {"CAMERA_PW": CAMERA, "BROKER_PW": BROKER}
        try:
            with Daemon(tmp_path, cameras, mqtt_part, secrets) as daemon:
                wait_until(
                    lambda: daemon.log().count("password is wrong") >= 3,
                    60,
                    "cameras reftheme them",
                )
                wait_until(lambda: bool(listener.messages), 20, "something is published")
                outputs = {
                    "log": daemon.log(),
                    "metrics": daemon.fetch("metrics"),
                    "messages": repr(listener.messages),
                    "status": daemon.run("status", "--json").stdout + daemon.run("status").stdout,
                    "processes": _process_list(),
                }
                assert daemon.stop() == 0
            outputs["log at the end"] = daemon.log()
            files = [path for path in daemon.data.rglob("*") if path.is_file()]
            outputs |= {str(path): path.read_bytes().decode(errors="replace") for path in files}
        finally:
            listener.close()
            broker.stop()
    assert "password is wrong" in outputs["log"]
    assert '"refused"' in outputs["status"]
    for where, text in outputs.items():
        for canary in CANARIES:
            assert canary not in text, f"{canary} is in {where}"


@pytest.mark.parametrize("verb", ["probe", "check"])
def test_a_verb_that_fails_on_a_url_with_a_password_does_not_repeat_it(
    tmp_path: Path, verb: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"cameras:\n  - {{name: a, url: 'http://u:{CAMERA}@127.0.0.1:9/x', rotation: 7}}\n"
    )
    target = f"rtsp://u:{CAMERA}@127.0.0.1:9/x" if verb == "probe" else str(config)
    done = subprocess.run(
        [sys.executable, "-m", "maskwatch", verb, target],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode not in (0, 1)
    assert "Traceback" not in done.stderr
    assert "c4nary" not in done.stdout + done.stderr
