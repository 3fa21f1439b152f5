"""The MQTT sink against a real Mosquitto: what it publishes, when it is ready, how deliveries end."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from maskwatch.alerts.mqtt.topics import encode_level
from maskwatch.alerts.sink import DeliveryStatus
from maskwatch.config.schema import MqttVersion
from maskwatch.domain import CameraState
from tests.alerts.conftest import MakeSink, StartSink
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.recorder_side import NOON, FakeRecorder, minute, status
from tests.fakes.samples import JPEG, change, incident
from tests.fakes.waiting import wait_until

ROOT = "maskwatch/gate%201"


def test_an_accepted_alert_reached_an_independent_subscriber(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink, version: MqttVersion
) -> None:
    sink = start_sink(version=version)
    delivery = recorder.send(sink, change(1, started=NOON))
    assert recorder.status(delivery) is DeliveryStatus.ACCEPTED
    alert = json.loads(listener.wait_for(f"{ROOT}/camera/door/violation").payload)
    assert alert["alert_id"] == change(1).alert_id
    assert alert["change"] == "opened"
    assert alert["at"] == "2026-03-01T12:00:00Z"
    assert alert["version"] == 1


def test_availability_is_retained_and_offline_after_an_orderly_end(
    listener: Listener, start_sink: StartSink, version: MqttVersion
) -> None:
    sink = start_sink(version=version)
    assert listener.wait_for(f"{ROOT}/status", b"online").retain
    sink.stop(5)
    assert listener.wait_for(f"{ROOT}/status", b"offline").retain


def test_the_last_will_is_offline_when_the_connection_is_cut(
    broker: Mosquitto,
    listener: Listener,
    recorder: FakeRecorder,
    make_sink: MakeSink,
    version: MqttVersion,
) -> None:
    first = make_sink(broker.port, version=version)
    recorder.start(first)
    listener.wait_for(f"{ROOT}/status", b"online")
    # A second node of the same name takes the connection over; the broker publishes the will.
    second = make_sink(broker.port, version=version, max_wait=30)
    second.start(*recorder.callbacks)
    assert listener.wait_for(f"{ROOT}/status", b"offline").retain


def test_every_retained_topic_is_published_again_to_an_empty_broker(
    broker: Mosquitto, recorder: FakeRecorder, start_sink: StartSink, version: MqttVersion
) -> None:
    recorder.cameras = [status(), status("yard", CameraState.BACKOFF, "no route")]
    recorder.open_violations = [change(1, 2)]
    recorder.open_incidents = [incident(1)]
    recorder.occupancy = {"door": minute(), "door/hall": minute(zone="hall")}
    sink = start_sink(version=version, cameras=("door", "yard"))
    broker.kill()
    wait_until(lambda: not sink.ready)
    broker.start()
    wait_until(lambda: sink.ready)
    late = Listener(broker.port)
    last = f"{ROOT}/status"
    received = {h.topic: h.payload for h in late.wait(lambda all_: any(h.topic == last for h in all_))}
    late.close()
    assert set(received) == {
        f"{ROOT}/status",
        f"{ROOT}/owner",
        f"{ROOT}/open_incidents",
        *(
            f"{ROOT}/camera/{c}/{t}"
            for c in ("door", "yard")
            for t in ("state", "snooze", "open_violations", "open_incidents")
        ),
        f"{ROOT}/camera/door/occupancy",
        f"{ROOT}/camera/door/zone/hall/occupancy",
    }
    assert json.loads(received[f"{ROOT}/camera/yard/state"])["reason"] == "no route"
    assert json.loads(received[f"{ROOT}/camera/door/open_violations"])["count"] == 1
    assert json.loads(received[f"{ROOT}/camera/yard/open_violations"])["count"] == 0
    assert (
        json.loads(received[f"{ROOT}/camera/door/open_incidents"])["incidents"][0]["kind"]
        == "camera_offline"
    )


def test_a_change_of_state_replaces_the_retained_one(listener: Listener, start_sink: StartSink) -> None:
    sink = start_sink()
    listener.wait_for(f"{ROOT}/camera/door/state")
    sink.publish(status(state=CameraState.BLIND, reason="covered"))
    sink.publish(minute())
    topic = f"{ROOT}/camera/door/state"
    received = listener.wait(lambda all_: sum(h.topic == topic for h in all_) == 2)
    assert json.loads([h for h in received if h.topic == topic][-1].payload)["state"] == "blind"
    assert json.loads(listener.wait_for(f"{ROOT}/camera/door/occupancy").payload)["compliance"] == 0.75


def test_the_list_of_open_violations_follows_the_alerts(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink
) -> None:
    sink = start_sink()
    topic = f"{ROOT}/camera/door/open_violations"
    assert json.loads(listener.wait_for(topic).payload)["count"] == 0
    recorder.open_violations = [change(1)]
    recorder.send(sink, change(1))
    received = listener.wait(lambda all_: sum(h.topic == topic for h in all_) == 2)
    assert (
        json.loads([h for h in received if h.topic == topic][-1].payload)["violations"][0]["zone"]
        == "hall"
    )


def test_the_changes_of_a_violation_arrive_in_order(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink, version: MqttVersion
) -> None:
    sink = start_sink(version=version, window=5)
    deliveries = [recorder.send(sink, change(1, number)) for number in range(1, 41)]
    assert all(recorder.status(delivery) is DeliveryStatus.ACCEPTED for delivery in deliveries)
    topic = f"{ROOT}/camera/door/violation"
    received = listener.wait(lambda all_: sum(h.topic == topic for h in all_) == 40)
    assert [json.loads(h.payload)["number"] for h in received if h.topic == topic] == list(range(1, 41))


def test_mqtt_5_messages_carry_expiry_and_content_type(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink
) -> None:
    sink = start_sink(version=MqttVersion.V5)
    recorder.send(sink, change(1))
    alert = listener.wait_for(f"{ROOT}/camera/door/violation")
    assert (alert.qos, alert.retain, alert.content) == (1, False, "application/json")
    assert alert.expiry is not None
    assert 86_000 < alert.expiry <= 86_400
    assert listener.wait_for(f"{ROOT}/camera/door/state").expiry is None


def test_the_picture_is_published_before_its_alert_if_enabled(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink, tmp_path: Path
) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(JPEG)
    sink = start_sink(send_pictures=True)
    recorder.send(sink, change(1), picture=picture)
    alert = json.loads(listener.wait_for(f"{ROOT}/camera/door/violation").payload)
    sent = listener.wait_for(f"{ROOT}/camera/door/picture")
    assert sent.payload == JPEG
    assert (sent.content, sent.retain, sent.correlation) == (
        "image/jpeg",
        False,
        change(1).alert_id.encode(),
    )
    assert alert["picture"]["topic"] == sent.topic
    assert alert["picture"]["path"] == str(picture)
    topics = listener.topics()
    assert topics.index(sent.topic) < topics.index(f"{ROOT}/camera/door/violation")


@pytest.mark.parametrize("failures", [0, 2])
def test_an_alert_omits_a_picture_that_is_disabled_or_failed_twice(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink, tmp_path: Path, failures: int
) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(JPEG)
    sink = start_sink(send_pictures=failures == 2)
    delivery = recorder.send(sink, change(1), picture=picture, failures=failures)
    assert recorder.status(delivery) is DeliveryStatus.ACCEPTED
    alert = json.loads(listener.wait_for(f"{ROOT}/camera/door/violation").payload)
    assert alert["picture"] == {"path": str(picture), "topic": None, "sha256": None}
    assert f"{ROOT}/camera/door/picture" not in listener.topics()


def test_an_alert_whose_picture_is_missing_is_delivered(
    recorder: FakeRecorder, start_sink: StartSink, tmp_path: Path
) -> None:
    sink = start_sink(send_pictures=True)
    delivery = recorder.send(sink, change(1), picture=tmp_path / "gone.jpg")
    assert recorder.status(delivery) is DeliveryStatus.ACCEPTED


def test_incidents_are_published_by_camera_or_by_node(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink
) -> None:
    sink = start_sink()
    recorder.send(sink, incident(1))
    recorder.send(sink, replace(incident(2), camera=""), stored=False)
    assert json.loads(listener.wait_for(f"{ROOT}/camera/door/incident").payload)["change"] == "opened"
    of_node = json.loads(listener.wait_for(f"{ROOT}/incident").payload)
    assert (of_node["camera"], of_node["stored"]) == ("", False)


@pytest.mark.parametrize(
    "camera", ["a/b", "+", "#", "$SYS", "ü ß", "%2F", "tab\there", "\x7f\ufffe", "a" * 64]
)
def test_any_camera_name_is_one_level_that_the_broker_accepts(
    listener: Listener, start_sink: StartSink, camera: str
) -> None:
    sink = start_sink()
    sink.publish(status(camera))
    received = listener.wait_for(f"{ROOT}/camera/{encode_level(camera)}/state")
    assert received.topic.count("/") == 4
    assert json.loads(received.payload)["camera"] == camera


def test_a_delivery_fails_immediately_while_the_broker_is_down(
    broker: Mosquitto, recorder: FakeRecorder, make_sink: MakeSink, version: MqttVersion
) -> None:
    broker.stop()
    sink = make_sink(broker.port, version=version)
    recorder.start(sink, ready=False)
    outcome = recorder.outcome(recorder.send(sink, change(1)), 5)
    assert outcome.status is DeliveryStatus.FAILED
    assert not sink.ready
    broker.start()
    wait_until(lambda: sink.ready)
    assert recorder.status(recorder.send(sink, change(1))) is DeliveryStatus.ACCEPTED


def test_deliveries_in_flight_when_the_broker_dies_fail(
    broker: Mosquitto, recorder: FakeRecorder, start_sink: StartSink, version: MqttVersion
) -> None:
    sink = start_sink(version=version, window=50)
    broker.kill()
    deliveries = [recorder.send(sink, change(index)) for index in range(1, 30)]
    assert {recorder.status(delivery) for delivery in deliveries} == {DeliveryStatus.FAILED}
    broker.start()
    late = Listener(broker.port, f"{ROOT}/camera/+/violation")
    wait_until(lambda: sink.ready)
    again = recorder.send(sink, change(99))
    assert recorder.status(again) is DeliveryStatus.ACCEPTED
    late.wait_for(f"{ROOT}/camera/door/violation")
    late.close()
    assert len(late.messages) == 1


def test_stopping_waits_for_what_is_in_flight(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink
) -> None:
    sink = start_sink(window=100)
    deliveries = [recorder.send(sink, change(index)) for index in range(1, 61)]
    sink.stop(10)
    assert {recorder.status(delivery, 0) for delivery in deliveries} == {DeliveryStatus.ACCEPTED}
    topics = listener.wait(lambda all_: any(h.payload == b"offline" for h in all_))
    assert sum(h.topic == f"{ROOT}/camera/door/violation" for h in topics) == 60


def test_stopping_while_the_broker_is_down_ends_immediately(
    recorder: FakeRecorder, make_sink: MakeSink
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    sink = make_sink(port, max_wait=60)
    recorder.start(sink, ready=False)
    sink.stop(5)
    assert sink._thread is not None
    assert not sink._thread.is_alive()
