"""The framing of messages: each arrives as it was sent, and invalid bytes raise WireError."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.config.schema import CameraConfig, Config, MqttConfig
from maskwatch.errors import WireError
from maskwatch.ipc.messages import Configure, Ready, Record, Recorded, Stop
from maskwatch.ipc.wire import (
    FROM_RECORDER,
    TO_CHILD,
    TO_RECORDER,
    TO_SUPERVISOR,
    Reader,
    encode,
)
from maskwatch.secrets import Secret, SecretUrl
from tests.fakes.messages import make_change, make_heartbeat


def test_a_change_and_its_picture_arrive_as_they_were_sent() -> None:
    sent = Record(change=make_change())
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
def test_messages_do_not_depend_on_how_the_stream_is_split(blobs: list[bytes], cuts: list[int]) -> None:
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
def test_invalid_bytes_raise_a_wire_error_or_wait_for_more(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert Reader(TO_SUPERVISOR).feed(data) == []


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
def test_an_invalid_message_is_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        Reader(TO_CHILD).feed(frame(text))


def test_a_message_of_the_other_direction_is_refused() -> None:
    with pytest.raises(WireError):
        Reader(TO_SUPERVISOR).feed(encode(Stop(grace=1.0)))
    with pytest.raises(WireError):
        Reader(FROM_RECORDER).feed(encode(Record(change=make_change())))


def test_a_length_beyond_the_limit_is_refused_before_the_body_arrives() -> None:
    with pytest.raises(WireError, match="at most"):
        Reader(TO_CHILD).feed(struct.pack(">II", 2**31, 0))
    with pytest.raises(WireError, match="blob"):
        Reader(TO_CHILD, max_blob=10).feed(struct.pack(">II", 2, 11))


def test_too_large_a_blob_is_refused_when_it_is_sent() -> None:
    with pytest.raises(WireError, match="blob"):
        encode(Ready(), bytes(16 * 1024 * 1024 + 1))


def test_times_keep_their_microseconds_and_their_zone() -> None:
    heartbeat = make_heartbeat()
    ((received, _),) = Reader(TO_SUPERVISOR).feed(encode(heartbeat))
    assert received == heartbeat


def test_an_acknowledgement_crosses() -> None:
    sent = Recorded(violation=make_change().violation.id, number=1, stored=False)
    assert Reader(FROM_RECORDER).feed(encode(sent)) == [(sent, b"")]
