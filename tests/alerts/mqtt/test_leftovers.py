"""What stays retained on the broker when the configuration changes, against a real Mosquitto."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskwatch.alerts.mqtt.published import FILE_NAME
from maskwatch.config.schema import MqttVersion
from tests.alerts.conftest import MakeSink
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.recorder_side import FakeRecorder, minute
from tests.fakes.waiting import wait_until

ROOT = "maskwatch/gate%201"
BEFORE = {"node": "gate 1", "home_assistant": True}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The data directory that two configurations of one installation share."""
    return tmp_path / "data"


def retained_below(broker: Mosquitto, *beginnings: str) -> list[str]:
    return [topic for topic in broker.retained() if topic.startswith(beginnings)]


@pytest.mark.parametrize(
    ("changed", "gone"),
    [
        ({"home_assistant": False}, "homeassistant/"),
        ({"home_assistant_prefix": "ha"}, "homeassistant/"),
        ({"topic_prefix": "site/masks"}, "maskwatch/"),
        ({"node": "gate 2"}, f"{ROOT}/"),
        ({"node": "gate 2", "home_assistant": False}, "homeassistant/"),
    ],
)
def test_what_a_changed_configuration_no_longer_publishes_is_cleared(
    broker: Mosquitto,
    recorder: FakeRecorder,
    make_sink: MakeSink,
    data_dir: Path,
    version: MqttVersion,
    changed: dict[str, object],
    gone: str,
) -> None:
    recorder.occupancy = {"door": minute()}
    first = make_sink(broker.port, version=version, data_dir=data_dir, **BEFORE)
    recorder.start(first)
    wait_until(lambda: f"{ROOT}/status" in broker.retained())
    assert retained_below(broker, gone)
    first.stop(5)
    second = make_sink(broker.port, version=version, data_dir=data_dir, **{**BEFORE, **changed})
    recorder.start(second)
    wait_until(lambda: not retained_below(broker, gone))
    wait_until(lambda: gone not in (data_dir / FILE_NAME).read_text(errors="replace"))


def test_what_a_run_without_an_orderly_end_published_is_cleared(
    broker: Mosquitto, recorder: FakeRecorder, make_sink: MakeSink, data_dir: Path
) -> None:
    recorder.start(make_sink(broker.port, data_dir=data_dir, **BEFORE))
    wait_until(lambda: f"{ROOT}/status" in broker.retained())
    recorder.start(make_sink(broker.port, data_dir=data_dir, node="gate 2"))
    wait_until(lambda: not retained_below(broker, f"{ROOT}/", "homeassistant/"))


def test_the_old_name_is_left_to_a_daemon_that_has_taken_it(
    broker: Mosquitto, recorder: FakeRecorder, make_sink: MakeSink, data_dir: Path
) -> None:
    first = make_sink(broker.port, data_dir=data_dir, **BEFORE)
    recorder.start(first)
    first.stop(5)
    recorder.start(make_sink(broker.port, **BEFORE))
    wait_until(lambda: f"{ROOT}/status" in broker.retained())
    held = set(retained_below(broker, ROOT, "homeassistant/"))
    renamed = make_sink(broker.port, data_dir=data_dir, node="gate 2")
    recorder.start(renamed)
    wait_until(lambda: ROOT not in (data_dir / FILE_NAME).read_text(errors="replace"))
    renamed.stop(5)
    assert held <= set(broker.retained())


def test_topics_that_the_broker_refuses_to_clear_are_tried_again(
    tmp_path: Path, recorder: FakeRecorder, make_sink: MakeSink, data_dir: Path
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite #\n")
    with Mosquitto(tmp_path, ["allow_anonymous true", f"acl_file {rules}"]) as broker:
        first = make_sink(broker.port, data_dir=data_dir, **BEFORE)
        recorder.start(first)
        first.stop(5)
        rules.write_text(f"topic readwrite {ROOT}/#\ntopic read #\ntopic write test/#\n")
        broker.reload()
        second = make_sink(broker.port, data_dir=data_dir)
        recorder.start(second)
        second.stop(5)
        assert retained_below(broker, "homeassistant/")
        rules.write_text("topic readwrite #\n")
        broker.reload()
        recorder.start(make_sink(broker.port, data_dir=data_dir))
        wait_until(lambda: not retained_below(broker, "homeassistant/"))


@pytest.mark.parametrize("contents", [b"", b"[]", b'{"brokers": 3}', b"\xff\xfe"])
def test_a_damaged_record_of_topics_is_written_again(
    broker: Mosquitto, recorder: FakeRecorder, make_sink: MakeSink, data_dir: Path, contents: bytes
) -> None:
    data_dir.mkdir()
    (data_dir / FILE_NAME).write_bytes(contents)
    recorder.start(make_sink(broker.port, data_dir=data_dir))
    wait_until(lambda: f"{ROOT}/status" in (data_dir / FILE_NAME).read_text(errors="replace"))


def test_an_unfinished_record_of_a_killed_run_is_removed(make_sink: MakeSink, data_dir: Path) -> None:
    data_dir.mkdir()
    unfinished = data_dir / f".{FILE_NAME}.x1y2"
    unfinished.write_bytes(b"{")
    make_sink(1, data_dir=data_dir)
    assert not unfinished.exists()


def test_alerts_are_sent_while_the_record_of_topics_cannot_be_written(
    broker: Mosquitto, recorder: FakeRecorder, make_sink: MakeSink, data_dir: Path
) -> None:
    (data_dir / FILE_NAME).mkdir(parents=True)
    recorder.start(make_sink(broker.port, data_dir=data_dir))
    wait_until(lambda: f"{ROOT}/status" in broker.retained())
