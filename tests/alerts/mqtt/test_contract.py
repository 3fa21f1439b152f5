"""docs/mqtt.md and docs/schemas against what is published."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from maskwatch.alerts.mqtt.payloads import PAYLOADS, schemas
from maskwatch.alerts.mqtt.topics import Topic, Topics
from maskwatch.alerts.sink import CameraSnapshot
from maskwatch.domain import CameraState, Snooze
from maskwatch.ipc.messages import CommandResult
from tests.alerts.conftest import StartSink
from tests.fakes.mosquitto import Listener, ReceivedMessage
from tests.fakes.recorder_side import FakeRecorder, minute, status
from tests.fakes.samples import JPEG, START, change, incident, violation_id
from tools.reference import reference

TOPICS = Topics("maskwatch", "gate 1")


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads(schemas()[name])
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def test_the_documents_are_what_the_code_generates() -> None:
    """`python -m tools.reference` writes them."""
    stale = [str(path) for path, content in reference() if path.read_bytes() != content]
    assert stale == []


@pytest.mark.parametrize("topic", Topic)
def test_the_schema_of_every_topic_exists(topic: Topic) -> None:
    assert not topic.value.schema or topic.value.schema in PAYLOADS


def test_the_alert_in_the_documentation_is_valid_and_complete(root: Path) -> None:
    text = (root / "docs/mqtt.md").read_text("utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    alert = json.loads(example)
    validator("violation").validate(alert)
    assert (
        alert.keys()
        == json.loads(schemas()["violation"])["$defs"]["ViolationPayload"]["properties"].keys()
    )


def test_an_invalid_payload_fails_validation() -> None:
    """Check that the validator can fail."""
    with pytest.raises(jsonschema.ValidationError):
        validator("camera-state").validate({"version": 1, "node": "n", "camera": "c", "state": "asleep"})


def kind_of(received: ReceivedMessage) -> Topic:
    (kind,) = (topic for topic in Topic if TOPICS.parse(topic, received.topic) is not None)
    return kind


def test_publications_match_the_topic_table_and_the_schemas(
    listener: Listener, recorder: FakeRecorder, start_sink: StartSink, tmp_path: Path
) -> None:
    """Every kind of message, with and without optional values, from a real broker."""
    picture = tmp_path / "a.jpg"
    picture.write_bytes(JPEG)
    recorder.cameras = [status(), status("ya/rd", CameraState.BACKOFF, "no route")]
    recorder.open_violations = [change(5)]
    recorder.silenced = [violation_id(5)]
    recorder.snoozes = [Snooze("door", START, START + timedelta(hours=1))]
    recorder.open_incidents = [incident(5), replace(incident(6), camera="")]
    recorder.occupancy = {"door": minute()}
    sink = start_sink(send_pictures=True, commands=True)
    recorder.send(sink, change(1), picture=picture)
    recorder.send(sink, change(1, 2), stored=False)
    recorder.send(sink, change(1, 3, closed=True))
    recorder.send(sink, incident(1))
    recorder.send(sink, replace(incident(2, 2, ended=START), camera=""))
    sink.publish(minute(zone="hall"))
    sink.publish(replace(minute(), minute=START, judged=0, masked=0, unmasked=0))
    listener.publish(TOPICS.of(Topic.CAMERA_COMMAND, camera="door", verb="snapshot"), b'{"id": "1"}')
    command = recorder.wait_command().id
    sink.publish(CameraSnapshot(command, "door", START, JPEG))
    sink.publish(CommandResult(id=command, ok=True))
    result = TOPICS.of(Topic.COMMAND_RESULT)
    received = listener.wait(lambda all_: any(each.topic == result for each in all_))
    sink.stop(5)
    received = listener.wait(lambda all_: any(each.payload == b"offline" for each in all_))
    published = [each for each in received if not kind_of(each).value.incoming]
    assert {kind_of(each) for each in published} == {
        topic for topic in Topic if not topic.value.incoming
    }
    for each in published:
        spec = kind_of(each).value
        assert (each.retain, each.qos, each.content) == (spec.retained, 1, spec.content)
        assert (each.expiry is None) == (spec.expiry is None)
        if spec.schema:
            validator(spec.schema).validate(json.loads(each.payload))
