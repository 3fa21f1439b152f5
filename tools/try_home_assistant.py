"""Tests discovery with the core of Home Assistant and a real Mosquitto.

    python3.11 -m venv ha
    ha/bin/pip install homeassistant==2024.3.3 paho-mqtt==1.6.1 janus==1.0.0 aiohttp-cors==0.7.0 \
        aiohttp-fast-url-dispatcher==0.3.0 aiohttp-zlib-ng==0.3.1 sqlalchemy==2.0.28 \
        fnv-hash-fast pillow 'numpy<2' PyTurboJPEG ha-av
    .venv/bin/python -m tools.try_home_assistant ha/bin/python

2024.3 is the last release for Python 3.11. It is not a part of `make test`, since it has a quarter of a
gigabyte. It fails if an entity is missing or has the wrong state, or if a command does not arrive.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from maskwatch.alerts.mqtt.sink import MqttSink
from maskwatch.alerts.sink import CameraSnapshot
from maskwatch.config.schema import CameraConfig, Config, MqttConfig
from maskwatch.domain import CameraState, Snooze
from maskwatch.secrets import SecretUrl
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.recorder_side import NOON, FakeRecorder, minute, status
from tests.fakes.samples import JPEG, change

CAMERA = "front door"
EXPECTED = {
    "binary_sensor.front_door_person_without_mask": "on",
    "binary_sensor.front_door_problem": "on",
    "binary_sensor.maskwatch_gate_1_problem": "off",
    "sensor.front_door_state": "blind",
    "sensor.front_door_occupancy": "2",
    "sensor.front_door_compliance": "75.0",
    "binary_sensor.front_door_snoozed": "on",
    "number.front_door_snooze": "15",
    "switch.front_door_enabled": "on",
}
PRESENT = {
    "button.front_door_take_snapshot",
    "button.maskwatch_gate_1_reload_configuration",
    "event.front_door_violation",
    "image.front_door_last_alert",
    "image.front_door_last_snapshot",
}
COMMANDS = [
    ("disable", CAMERA, 0.0),
    ("snooze", CAMERA, 900.0),
    ("snapshot", CAMERA, 0.0),
    ("reload", "", 0.0),
]


def main(python: str) -> int:
    """Run the broker, the sink and Home Assistant; return 0 if all is as expected."""
    with tempfile.TemporaryDirectory() as folder:
        broker, recorder = Mosquitto(Path(folder)), FakeRecorder()
        broker.start()
        camera = CameraConfig(name=CAMERA, url=SecretUrl("rtsp://x/1"))
        mqtt = MqttConfig(port=broker.port, home_assistant=True, send_pictures=True, commands=True)
        config = Config(node="gate 1", cameras=(camera,), mqtt=mqtt, data_dir=folder)
        sink = MqttSink(config)
        recorder.cameras = [status(CAMERA)]
        recorder.occupancy = {CAMERA: minute(CAMERA)}
        recorder.start(sink)
        (Path(folder) / "configuration.yaml").write_text("homeassistant:\n  name: trial\n")
        script = str(Path(__file__).with_name("home_assistant_core.py"))
        home = subprocess.Popen([python, script, folder, str(broker.port)], stdout=subprocess.PIPE)
        time.sleep(15)
        picture = Path(folder) / "a.jpg"
        picture.write_bytes(JPEG)
        recorder.open_violations = [change(1, camera=CAMERA)]
        recorder.send(sink, change(1, camera=CAMERA), picture=picture)
        recorder.cameras = [status(CAMERA, CameraState.BLIND, "covered")]
        recorder.snoozes = [Snooze(CAMERA, NOON, NOON + timedelta(minutes=15))]
        sink.state_changed()
        sink.publish(CameraSnapshot("1", CAMERA, NOON, JPEG))
        time.sleep(1)
        sink.publish(recorder.cameras[0])
        output, _ = home.communicate(timeout=90)
        sink.stop(5)
        broker.stop()
    states = {row["entity"]: row["state"] for row in map(json.loads, output.splitlines())}
    commands = [(each.verb, each.target, each.seconds) for each in recorder.commands]
    wrong = {name: states.get(name) for name, state in EXPECTED.items() if states.get(name) != state}
    missing = sorted(name for name in PRESENT if name not in states)
    missing += [name for name in PRESENT if name.startswith("image.") and states.get(name) == "unknown"]
    for entity, state in sorted(states.items()):
        sys.stdout.write(f"{entity}: {state}\n")
    sys.stdout.write(f"commands: {commands}\nwrong: {wrong}\nmissing: {missing}\n")
    return int(bool(wrong or missing or commands != COMMANDS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
