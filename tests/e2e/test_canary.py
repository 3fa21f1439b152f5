"""No password comes out anywhere, whatever goes wrong with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from maskwatch.lab.rtsp import RtspServer
from tests.fakes.daemon import Daemon
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.waiting import wait_until

pytestmark = pytest.mark.faults

CAMERA = "c4nary-Camera-pw"
ENCODED = "c4nary%2FEnc0ded"  # as it stands in a URL; the camera gets c4nary/Enc0ded
BROKER = "c4nary-Broker-pw"
CANARIES = (CAMERA, ENCODED, "c4nary/Enc0ded", BROKER, "c4nary")


def _hear_everything(port: int, heard: list[bytes]) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("spy", "spy-spy")
    client.on_connect = lambda c, *_: c.subscribe("#", qos=1)
    client.on_message = lambda _c, _u, message: heard.append(message.topic.encode() + message.payload)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def _process_list() -> str:
    return subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True
    ).stdout


def _broker(folder: Path) -> Mosquitto:
    folder.mkdir()
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    for user, password in (("maskwatch", BROKER), ("spy", "spy-spy")):
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, password], check=True)
    broker = Mosquitto(folder, ["allow_anonymous false", f"password_file {passwords}"])
    broker.start()
    return broker


@pytest.mark.long
def test_passwords_are_in_no_log_metric_topic_status_error_file_or_process_list(
    tmp_path: Path, visitor: Path
) -> None:
    heard: list[bytes] = []
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
        spy = _hear_everything(broker.port, heard)
        secrets = {"CAMERA_PW": CAMERA, "BROKER_PW": BROKER}
        try:
            with Daemon(tmp_path, cameras, mqtt_part, secrets) as daemon:
                wait_until(lambda: daemon.log().count("password is wrong") >= 3, 60, "cameras refuse us")
                wait_until(lambda: bool(heard), 20, "something is published")
                said = {
                    "log": daemon.log(),
                    "metrics": daemon.fetch("metrics"),
                    "topics": b"\n".join(heard).decode(errors="replace"),
                    "status": daemon.run("status", "--json").stdout + daemon.run("status").stdout,
                    "processes": _process_list(),
                }
                assert daemon.stop() == 0
            said["log at the end"] = daemon.log()
            written = [path for path in daemon.data.rglob("*") if path.is_file()]
            said |= {str(path): path.read_bytes().decode(errors="replace") for path in written}
        finally:
            spy.disconnect()
            spy.loop_stop()
            broker.stop()
    assert "password is wrong" in said["log"]
    assert '"refused"' in said["status"]
    for where, text in said.items():
        for canary in CANARIES:
            assert canary not in text, f"{canary} stands in {where}"


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
