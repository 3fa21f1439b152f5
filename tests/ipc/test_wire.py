"""The framing of messages: what goes in comes out, and rubbish raises WireError."""

from __future__ import annotations

import contextlib
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.config.schema import CameraConfig, Config, MqttConfig
from maskwatch.domain import Box, CameraState, Change, ChangeKind, Verdict, Violation, uuid7
from maskwatch.errors import WireError
from maskwatch.ipc.messages import Configure, Heartbeat, Ready, Record, Recorded, Stop
from maskwatch.ipc.wire import (
    FROM_RECORDER,
    TO_CHILD,
    TO_RECORDER,
    TO_SUPERVISOR,
    Reader,
    encode,
)
from maskwatch.secrets import Secret, SecretUrl

NOON = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)


def a_beat() -> Heartbeat:
    return Heartbeat(
        state=CameraState.LIVE,
        reason="",
        since=NOON,
        leave_by=None,
        frames=5,
        last_frame=NOON,
        attempt=0,
    )


def a_change() -> Change:
    violation = Violation(
        id=uuid7(NOON, b"0123456789"), camera="hall", zone="", zones=("door",), track=3,
        verdict=Verdict.NO_MASK, first_seen=NOON, started=NOON, ended=None, close_reason=None,
        confidence=0.99, evidence=7.5, readings=9, face_height=80.0, box=Box(0.1, 0.2, 0.3, 0.4),
        model="m",
    )  # fmt: skip
    return Change(1, ChangeKind.OPENED, NOON, violation)


def test_a_change_and_its_picture_arrive_as_they_were_sent() -> None:
    sent = Record(change=a_change())
    assert Reader(TO_RECORDER).feed(encode(sent, b"\xff\xd8jpeg")) == [(sent, b"\xff\xd8jpeg")]


def test_a_configuration_crosses_with_its_secrets() -> None:
    camera = CameraConfig(
        name="hall", url=SecretUrl("rtsp://u:secret-9@h/s"), password=Secret("pass-word")
    )
    config = Config(cameras=(camera,), mqtt=MqttConfig(password=Secret("mqtt-word")))
    sent = Configure(config=config, recorder="/r.sock", camera="hall", attempt=3)
    ((received, _),) = Reader(TO_CHILD).feed(encode(sent))
    assert received == sent
    assert isinstance(received, Configure)
    assert isinstance(received.config.cameras[0].url, SecretUrl)
    assert received.config.cameras[0].password.reveal() == "pass-word"


@settings(deadline=None)
@given(
    blobs=st.lists(st.binary(max_size=300), min_size=1, max_size=8),
    cuts=st.lists(st.integers(min_value=1, max_value=120), min_size=1, max_size=40),
)
def test_messages_do_not_depend_on_how_the_stream_is_cut(blobs: list[bytes], cuts: list[int]) -> None:
    sent = [(Stop(grace=float(number)), blob) for number, blob in enumerate(blobs)]
    stream = b"".join(encode(message, blob) for message, blob in sent)
    reader, received, at, turn = Reader(TO_CHILD), [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        received += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert received == sent
    assert not reader.partial


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_rubbish_raises_a_wire_error_or_waits_for_more(rubbish: bytes) -> None:
    with contextlib.suppress(WireError):
        assert Reader(TO_SUPERVISOR).feed(rubbish) == []


def frame(text: bytes) -> bytes:
    return struct.pack(">II", len(text), 0) + text


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"type":"stop"}',
        b'{"type":"stop","grace":"soon"}',
        b'{"type":"nonsense"}',
        b'{"type":"configure","config":{"cameras":[]},"recorder":""}',
        b'{"type":"stop","grace":1}trailing',
    ],
)
def test_what_is_no_message_of_this_way_is_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        Reader(TO_CHILD).feed(frame(text))


def test_a_message_of_the_other_direction_is_refused() -> None:
    with pytest.raises(WireError):
        Reader(TO_SUPERVISOR).feed(encode(Stop(grace=1.0)))
    with pytest.raises(WireError):
        Reader(FROM_RECORDER).feed(encode(Record(change=a_change())))


def test_a_length_beyond_the_limit_is_refused_before_the_body_arrives() -> None:
    with pytest.raises(WireError, match="at most"):
        Reader(TO_CHILD).feed(struct.pack(">II", 2**31, 0))
    with pytest.raises(WireError, match="blob"):
        Reader(TO_CHILD, max_blob=10).feed(struct.pack(">II", 2, 11))


def test_too_large_a_blob_is_refused_when_it_is_sent() -> None:
    with pytest.raises(WireError, match="blob"):
        encode(Ready(), bytes(16 * 1024 * 1024 + 1))


def test_times_keep_their_microseconds_and_their_zone() -> None:
    beat = a_beat()
    ((received, _),) = Reader(TO_SUPERVISOR).feed(encode(beat))
    assert received == beat


def test_an_acknowledgement_crosses() -> None:
    sent = Recorded(violation=a_change().violation.id, number=1, stored=False)
    assert Reader(FROM_RECORDER).feed(encode(sent)) == [(sent, b"")]
