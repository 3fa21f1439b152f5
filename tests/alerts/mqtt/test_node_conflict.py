"""Two daemons of one `node` on one broker, against a real Mosquitto."""

from __future__ import annotations

import json
import logging
import socket

import pytest

from maskwatch.config.schema import MqttVersion
from tests.alerts.conftest import MakeSink, StartSink
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.recorder_side import FakeRecorder, status
from tests.fakes.stubborn_broker import Behaviour, StubbornBroker
from tests.fakes.waiting import wait_until

ROOT = "maskwatch/gate%201"
OWNER = f"{ROOT}/owner"


def owner(*, running: bool = True) -> bytes:
    payload = {"version": 1, "node": "gate 1", "host": "attic\n", "instance": "1", "running": running}
    return json.dumps(payload).encode()


def test_two_daemons_of_one_node_report_each_other_and_clear_nothing(
    broker: Mosquitto,
    make_sink: MakeSink,
    version: MqttVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sinks, recorders = [], []
    for camera in ("front", "back"):
        recorder = FakeRecorder()
        recorder.cameras = [status(camera)]
        sinks.append(make_sink(broker.port, cameras=(camera,), version=version, max_wait=2))
        recorders.append(recorder)
        recorder.start(sinks[-1])
    wait_until(lambda: all("another daemon, on host" in sink.reason for sink in sinks))
    for sink in sinks:
        assert sink.reason.count(socket.gethostname()) == 2
        assert "its own `node`" in sink.reason
    expected = {f"{ROOT}/camera/{camera}/state" for camera in ("front", "back")}
    wait_until(lambda: expected <= set(broker.retained()))
    warnings = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert sum("another daemon, on host" in each for each in warnings) == 2
    sinks[0].stop(5)
    wait_until(lambda: not sinks[1].reason)
    assert sinks[1].ready
    wait_until(lambda: not any("/front/" in topic for topic in broker.retained()))


def test_another_client_of_the_same_id_is_suspected(
    broker: Mosquitto, recorder: FakeRecorder, make_sink: MakeSink, version: MqttVersion
) -> None:
    """With another prefix they share the client id, and no topic."""
    sinks = [make_sink(broker.port, version=version, topic_prefix=name) for name in ("a", "b")]
    for sink in sinks:
        sink.start(*recorder.callbacks)
    wait_until(lambda: all("as maskwatch-gate%201" in sink.reason for sink in sinks))


def test_a_broker_that_names_the_cause_is_believed_at_once(
    recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    accepted, taken_over = b"\x20\x03\x00\x00\x00", b"\xe0\x02\x8e\x00"
    broker = StubbornBroker(Behaviour(garbage=accepted + taken_over))
    sink = make_sink(broker.port)
    recorder.start(sink, ready=False)
    wait_until(lambda: "another client connects as maskwatch-gate%201" in sink.reason)
    sink.stop(5)
    broker.close()


def test_what_a_daemon_published_before_it_was_moved_is_no_conflict(
    broker: Mosquitto, listener: Listener, start_sink: StartSink
) -> None:
    topic = f"{ROOT}/camera/gone/state"
    listener.publish(OWNER, owner(), retain=True)
    listener.publish(topic, b"{}", retain=True)
    sink = start_sink()
    assert sink.reason == ""
    wait_until(lambda: topic not in broker.retained())


def test_nothing_is_cleared_until_another_daemon_would_have_connected_again(
    broker: Mosquitto, listener: Listener, start_sink: StartSink
) -> None:
    topic = f"{ROOT}/camera/gone/state"
    listener.publish(OWNER, owner(), retain=True)
    listener.publish(topic, b"{}", retain=True)
    sink = start_sink(max_wait=60)
    wait_until(lambda: b"attic" not in broker.retained()[OWNER])
    sink.stop(5)
    assert topic in broker.retained()


def test_a_daemon_that_publishes_later_is_named_until_it_ends(
    broker: Mosquitto, listener: Listener, start_sink: StartSink
) -> None:
    sink = start_sink(max_wait=60)
    wait_until(lambda: f"{ROOT}/status" in broker.retained())
    listener.publish(OWNER, owner())
    wait_until(lambda: "on host attic, uses the node 'gate 1'" in sink.reason)
    listener.publish(OWNER, owner(running=False))
    wait_until(lambda: not sink.reason)


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff", b"[" * 5000, b'{"host": 3}', b"x" * 10_000])
def test_a_message_on_owner_that_is_no_owner_changes_nothing(
    broker: Mosquitto, listener: Listener, start_sink: StartSink, payload: bytes
) -> None:
    listener.publish(OWNER, payload, retain=True)
    sink = start_sink()
    listener.publish(OWNER, payload)
    listener.publish(f"{ROOT}/camera/gone/state", b"{}", retain=True)
    wait_until(lambda: f"{ROOT}/status" in broker.retained())
    assert (sink.ready, sink.reason) == (True, "")


def test_the_reason_names_why_the_broker_is_not_reached(
    broker: Mosquitto, recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    broker.stop()
    sink = make_sink(broker.port)
    recorder.start(sink, ready=False)
    wait_until(lambda: "cannot connect" in sink.reason)
    broker.start()
    wait_until(lambda: sink.ready)
    assert sink.reason == ""
