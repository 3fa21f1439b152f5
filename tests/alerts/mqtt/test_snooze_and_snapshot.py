"""Snoozes and snapshots: how they are published, retained and cleared."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from maskwatch.alerts.mqtt import state
from maskwatch.alerts.mqtt.topics import Topic, Topics
from maskwatch.alerts.sink import CameraSnapshot
from maskwatch.config.schema import MqttVersion
from maskwatch.domain import Snooze
from maskwatch.ipc.messages import CommandResult
from tests.alerts.conftest import MakeSink, StartSink
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.recorder_side import FakeRecorder
from tests.fakes.samples import JPEG, START, change, violation_id
from tests.fakes.waiting import wait_until

TOPICS = Topics("maskwatch", "gate 1")
SNOOZE = TOPICS.of(Topic.SNOOZE, camera="door")
SNAPSHOT = TOPICS.of(Topic.SNAPSHOT, camera="door")
RESULT = TOPICS.of(Topic.COMMAND_RESULT)


def test_a_snooze_is_published_with_its_end_and_cancelled(
    broker: Mosquitto, listener: Listener, recorder: FakeRecorder, start_sink: StartSink
) -> None:
    sink = start_sink()
    assert json.loads(listener.wait_for(SNOOZE).payload)["until"] is None
    recorder.snoozes = [Snooze("door", START, START + timedelta(minutes=10))]
    sink.state_changed()
    wait_until(lambda: json.loads(listener.wait_for(SNOOZE).payload)["seconds"] == 600)
    shown = json.loads(broker.retained()[SNOOZE])
    assert shown["until"] == (START + timedelta(minutes=10)).isoformat().replace("+00:00", "Z")
    recorder.snoozes = [Snooze("door")]
    sink.state_changed()
    wait_until(lambda: json.loads(broker.retained()[SNOOZE])["seconds"] == 0)


def test_a_silent_violation_is_listed_as_open_and_silent(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink
) -> None:
    sink = start_sink()
    recorder.open_violations = [change(1), change(2)]
    recorder.silenced = [violation_id(2)]
    sink.state_changed()
    topic = TOPICS.of(Topic.OPEN_VIOLATIONS, camera="door")
    wait_until(lambda: json.loads(listener.wait_for(topic).payload)["count"] == 2)
    shown = json.loads(listener.wait_for(topic).payload)
    assert shown["silent"] == 1
    assert [row["silent"] for row in shown["violations"]] == [False, True]


def test_a_snapshot_is_retained_and_precedes_the_answer(
    broker: Mosquitto,
    listener: Listener,
    recorder: FakeRecorder,
    start_sink: StartSink,
    version: MqttVersion,
) -> None:
    sink = start_sink(commands=True, version=version)
    listener.publish(TOPICS.of(Topic.CAMERA_COMMAND, camera="door", verb="snapshot"), b'{"id": "1"}')
    command = recorder.wait_command().id
    sink.publish(CameraSnapshot(command, "door", START, JPEG))
    sink.publish(CommandResult(id=command, ok=True, detail="taken"))
    assert json.loads(listener.wait_for(RESULT).payload)["ok"]
    topics = listener.topics()
    assert topics.index(SNAPSHOT) < topics.index(RESULT)
    assert broker.retained()[SNAPSHOT] == JPEG
    received = listener.wait_for(SNAPSHOT)
    expected = 86_400 if version is MqttVersion.V5 else None
    assert received.expiry is None if expected is None else abs((received.expiry or 0) - expected) < 60


def test_a_snapshot_is_published_again_after_the_broker_lost_it(
    broker: Mosquitto, start_sink: StartSink
) -> None:
    sink = start_sink()
    sink.publish(CameraSnapshot("1", "door", START, JPEG))
    wait_until(lambda: SNAPSHOT in broker.retained())
    broker.kill()
    wait_until(lambda: not sink.ready)
    broker.start()
    wait_until(lambda: sink.ready)
    wait_until(lambda: broker.retained().get(SNAPSHOT) == JPEG)


def test_a_snapshot_is_cleared_when_it_expires(
    broker: Mosquitto, start_sink: StartSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_SNAPSHOT_SECONDS", 1.5)
    sink = start_sink(version=MqttVersion.V311)
    sink.publish(CameraSnapshot("1", "door", START, JPEG))
    wait_until(lambda: SNAPSHOT in broker.retained())
    wait_until(lambda: SNAPSHOT not in broker.retained())


def test_a_snapshot_of_an_earlier_run_is_cleared(
    broker: Mosquitto, listener: Listener, recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    listener.publish(SNAPSHOT, JPEG, retain=True)
    recorder.start(make_sink(broker.port))
    wait_until(lambda: SNAPSHOT not in broker.retained())


def test_a_snapshot_larger_than_the_broker_accepts_is_refused(
    tmp_path: Path, recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    small = Mosquitto(tmp_path, ["allow_anonymous true", "max_packet_size 20000"])
    small.start()
    listener = Listener(small.port)
    sink = make_sink(small.port, commands=True)
    recorder.start(sink)
    listener.publish(TOPICS.of(Topic.CAMERA_COMMAND, camera="door", verb="snapshot"))
    command = recorder.wait_command().id
    sink.publish(CameraSnapshot(command, "door", START, JPEG + b"\0" * 30_000))
    sink.publish(CommandResult(id=command, ok=True, detail="taken"))
    result = json.loads(listener.wait_for(RESULT).payload)
    assert (result["ok"], result["detail"]) == (False, "the broker takes no picture so large")
    assert sink.ready, "the connection stays open"
    listener.close()
    sink.stop(5)
    small.stop()
