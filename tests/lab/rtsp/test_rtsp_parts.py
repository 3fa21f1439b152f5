"""The parts of the RTSP server without a network: clips, packets, descriptions, logins, time."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from base64 import b64decode
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.errors import SourceGarbageError, SourceNotFoundError, SourceNoVideoError
from maskwatch.lab.rtsp.auth import Authenticator, AuthScheme
from maskwatch.lab.rtsp.clip import (
    CLOCK_RATE,
    AccessUnit,
    Clip,
    Codec,
    first_still,
    last_still,
    split_nals,
)
from maskwatch.lab.rtsp.faults import Faults
from maskwatch.lab.rtsp.jpeg import JpegError, parse_jpeg
from maskwatch.lab.rtsp.message import (
    MessageError,
    Request,
    describe,
    describe_without_video,
    read_request,
    reply,
)
from maskwatch.lab.rtsp.playback import Playback, Segment
from maskwatch.lab.rtsp.rtp import RtpStream, payloads
from tests.fakes.clips import make_sound

ClipOf = Callable[..., Path]

_FRAME = 3600


def _clip(frames: int = 10, gop: int = 5) -> Clip:
    units = tuple(
        AccessUnit(n * _FRAME, n * _FRAME, (bytes([0x65 if n % gop == 0 else 0x41, n]),), n % gop == 0)
        for n in range(frames)
    )
    keys = tuple(range(0, frames, gop))
    return Clip(Codec.H264, 320, 240, units, frames * _FRAME, (b"\x67abc", b"\x68d"), keys)


# -- clips -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "name", "codec"),
    [("mp4", "h264", Codec.H264), ("ts", "h264", Codec.H264), ("mp4", "hevc", Codec.H265)],
)
def test_a_file_becomes_access_units_that_keep_its_times(
    clip_of: ClipOf, suffix: str, name: str, codec: Codec
) -> None:
    clip = Clip.load(clip_of(suffix, codec=name))
    assert (clip.codec, clip.width, clip.height, len(clip.units)) == (codec, 320, 240, 50)
    assert [unit.decode for unit in clip.units] == [n * _FRAME for n in range(50)]
    assert clip.seconds == pytest.approx(2.0)
    assert clip.rate == pytest.approx(25.0)
    assert clip.keys == (0, 25)


def test_every_key_frame_carries_its_parameter_sets(clip_of: ClipOf) -> None:
    for codec in ("h264", "hevc"):
        clip = Clip.load(clip_of(codec=codec))
        for key in clip.keys:
            kinds = {clip.codec.nal_type(nal) for nal in clip.units[key].nals}
            assert kinds.issuperset(clip.codec.parameter_set_types)


def test_a_file_that_cannot_be_served_is_refused_with_the_reason(
    clip_of: ClipOf, tmp_path: Path
) -> None:
    with pytest.raises(SourceNotFoundError, match="no such file"):
        Clip.load(tmp_path / "missing.mp4")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(SourceGarbageError, match=r"text\.mp4: cannot be read as a video"):
        Clip.load(tmp_path / "text.mp4")
    with pytest.raises(SourceNoVideoError, match="no video track"):
        Clip.load(make_sound(tmp_path / "sound.wav"))
    with pytest.raises(SourceGarbageError, match="expected h264, hevc or mjpeg, found mpeg4"):
        Clip.load(clip_of(codec="mpeg4"))


def test_start_codes_of_three_and_four_bytes_separate_nal_units() -> None:
    stream = b"\x00\x00\x00\x01\x67ab\x00\x00\x01\x68cd\x00\x00\x00\x01\x65e\x00\x00"
    assert split_nals(stream) == (b"\x67ab", b"\x68cd", b"\x65e")


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_still_is_a_second_of_one_frame_in_the_codec_of_the_clip(clip_of: ClipOf, codec: str) -> None:
    path = clip_of(codec=codec)
    clip = Clip.load(path)
    for still in (first_still(path, clip), last_still(path, clip)):
        assert still.codec is clip.codec
        assert (still.width, still.height) == (clip.width, clip.height)
        assert still.seconds == pytest.approx(1.0)
        assert still.keys == (0,)


# -- packets -----------------------------------------------------------------------------------

_BODIES = st.lists(st.binary(min_size=1, max_size=6000), min_size=1, max_size=4)


def _reassemble_h264(pieces: list[bytes]) -> list[bytes]:
    nals: list[bytes] = []
    for piece in pieces:
        if piece[0] & 0x1F != 28:
            nals.append(piece)
        elif piece[1] & 0x80:
            nals.append(bytes([piece[0] & 0xE0 | piece[1] & 0x1F]) + piece[2:])
        else:
            nals[-1] += piece[2:]
    return nals


def _reassemble_h265(pieces: list[bytes]) -> list[bytes]:
    nals: list[bytes] = []
    for piece in pieces:
        if piece[0] >> 1 & 0x3F != 49:
            nals.append(piece)
        elif piece[2] & 0x80:
            head = bytes([piece[0] & 0x81 | (piece[2] & 0x3F) << 1, piece[1]])
            nals.append(head + piece[3:])
        else:
            nals[-1] += piece[3:]
    return nals


@given(_BODIES)
def test_h264_payloads_reassemble_to_the_same_nal_units(bodies: list[bytes]) -> None:
    nals = tuple(bytes([0x65]) + body for body in bodies)
    pieces = list(payloads(Codec.H264, nals))
    assert _reassemble_h264([piece for piece, _ in pieces]) == list(nals)
    assert [last for _, last in pieces] == [False] * (len(pieces) - 1) + [True]
    assert all(len(piece) <= 1402 for piece, _ in pieces)


@given(_BODIES)
def test_h265_payloads_reassemble_to_the_same_nal_units(bodies: list[bytes]) -> None:
    nals = tuple(bytes([19 << 1, 1]) + body for body in bodies)
    pieces = list(payloads(Codec.H265, nals))
    assert _reassemble_h265([piece for piece, _ in pieces]) == list(nals)
    assert all(len(piece) <= 1403 for piece, _ in pieces)


@given(st.lists(st.booleans(), max_size=50), st.integers())
def test_sequence_numbers_have_a_gap_for_each_lost_packet(lost: list[bool], seed: int) -> None:
    stream = RtpStream(random.Random(seed))
    start = stream.sequence
    sent = []
    for index, is_lost in enumerate(lost):
        if is_lost:
            stream.skip()
        else:
            packet = stream.packet(b"x", 0, last=False)
            sent.append((index, int.from_bytes(packet[2:4], "big")))
    assert all(number == (start + index) & 0xFFFF for index, number in sent)


# -- descriptions ------------------------------------------------------------------------------


def test_a_description_names_codec_rate_and_parameter_sets(clip_of: ClipOf) -> None:
    clip = Clip.load(clip_of())
    text = describe(clip)
    assert "a=rtpmap:96 H264/90000" in text
    assert "a=framerate:25.000" in text
    found = re.search(r"sprop-parameter-sets=([^,]+),(\S+)", text)
    assert found is not None
    assert tuple(b64decode(part) for part in found.groups()) == clip.parameter_sets


def test_a_description_without_video_lists_sound_only() -> None:
    assert "m=video" not in describe_without_video()
    assert "m=audio" in describe_without_video()


# -- logins ------------------------------------------------------------------------------------


def _digest(challenge: str, user: str, password: str, method: str, uri: str) -> str:
    realm, nonce = re.findall(r'(?:realm|nonce)="([^"]+)"', challenge)

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    secret = md5(f"{user}:{realm}:{password}")
    response = md5(f"{secret}:{nonce}:{md5(f'{method}:{uri}')}")
    return (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{response}"'
    )


def test_a_digest_login_needs_user_password_method_and_nonce_of_the_server() -> None:
    authenticator = Authenticator({"anna": "secret"}, AuthScheme.DIGEST)
    good = _digest(authenticator.challenges()[0], "anna", "secret", "PLAY", "rtsp://h/x")
    assert authenticator.allows("PLAY", good)
    assert not authenticator.allows("SETUP", good)
    assert not authenticator.allows(
        "PLAY", _digest(authenticator.challenges()[0], "anna", "wrong", "PLAY", "rtsp://h/x")
    )
    assert not authenticator.allows(
        "PLAY", _digest(authenticator.challenges()[0], "bert", "secret", "PLAY", "rtsp://h/x")
    )
    other = Authenticator({"anna": "secret"}, AuthScheme.DIGEST)
    assert not other.allows("PLAY", good)


def test_a_basic_login_needs_user_and_password() -> None:
    authenticator = Authenticator({"anna": "se:cret"}, AuthScheme.BASIC)
    assert authenticator.allows("PLAY", "Basic YW5uYTpzZTpjcmV0")
    assert not authenticator.allows("PLAY", "Basic YW5uYTp3cm9uZw==")
    assert not authenticator.allows("PLAY", "")


@given(st.text(max_size=200), st.sampled_from(AuthScheme))
def test_no_malformed_authorization_is_accepted(header: str, scheme: AuthScheme) -> None:
    assert not Authenticator({"anna": "secret"}, scheme).allows("PLAY", header)


# -- requests ----------------------------------------------------------------------------------


def _parse(data: bytes) -> Request | None:
    async def feed() -> Request | None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_request(reader)

    return asyncio.run(feed())


def test_a_request_is_read_past_interleaved_packets_and_with_its_body() -> None:
    lines = b"DESCRIBE rtsp://h:1/a/b/ RTSP/1.0\r\nCSeq: 7\r\nContent-Length: 2\r\n\r\nxx"
    data = b"$\x01\x00\x03abc\r\n" + lines
    request = _parse(data)
    assert request is not None
    assert (request.method, request.path, request.sequence) == ("DESCRIBE", "a/b", "7")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"hello\r\n\r\n",
        b"A rtsp://h RTSP/1.0\r\nContent-Length: -5\r\n\r\n",
        b"A rtsp://h RTSP/1.0\r\n" + b"x: y\r\nz: " + b"q" * 70_000,
        b"A rtsp://h RTSP/1.0\r\n" + b"".join(b"h%d: 1\r\n" % n for n in range(100)) + b"\r\n",
    ],
)
def test_a_malformed_request_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        _parse(data)


def test_a_reply_counts_the_bytes_of_its_body() -> None:
    sent = reply(200, "3", {"Session": "x"}, "ä")
    assert sent == b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: x\r\nContent-Length: 2\r\n\r\n\xc3\xa4"


# -- time --------------------------------------------------------------------------------------


@given(st.floats(0, 100), st.integers(2, 40), st.integers(1, 10))
def test_a_client_joins_at_the_last_key_frame_that_is_due(now: float, frames: int, gop: int) -> None:
    segment = Segment(_clip(frames, gop), 0.0, loops=True)
    number = segment.key_before(now)
    assert segment.unit(number).key
    assert segment.due(number) <= now + 1 / CLOCK_RATE
    following = [n for n in range(number + 1, number + frames + 1) if segment.unit(n).key]
    assert segment.due(following[0]) > now - 1 / CLOCK_RATE


@given(st.floats(0, 100), st.integers(2, 40), st.integers(1, 10))
def test_a_client_may_join_at_the_last_frame_that_is_due(now: float, frames: int, gop: int) -> None:
    segment = Segment(_clip(frames, gop), 0.0, loops=True)
    number = segment.number_at(now)
    assert segment.due(number) <= now + 1 / CLOCK_RATE
    assert segment.due(number + 1) > now - 1 / CLOCK_RATE


@given(st.integers(2, 40), st.floats(0, 1000))
def test_times_continue_evenly_from_one_pass_of_a_loop_to_the_next(frames: int, start: float) -> None:
    segment = Segment(_clip(frames), start, loops=True)
    stamps = [segment.present_ticks(number, 0.0) for number in range(3 * frames)]
    assert {later - earlier for earlier, later in pairwise(stamps)} == {_FRAME}
    assert segment.due(frames) == pytest.approx(start + frames / 25)


def test_a_waiting_clip_shows_a_still_then_plays_then_holds_its_last_frame() -> None:
    before, clip, after = _clip(1), _clip(10), _clip(2)
    playback = Playback(clip, loop=False, epoch=100.0, before=before, after=after)
    assert _shown(playback, 105.0) is before
    playback.play(110.0)
    assert [_shown(playback, at) for at in (109.9, 110.0, 110.39)] == [before, clip, clip]
    assert _shown(playback, 110.4) is after
    assert _shown(playback, 1e6) is after
    assert not playback.over(1e6)


def test_a_clip_played_once_is_over_and_may_be_played_again() -> None:
    playback = Playback(_clip(10), loop=False, epoch=0.0)
    assert not playback.over(5.0)  # it has not started
    playback.play(10.0)
    assert not playback.over(10.3)
    assert playback.over(10.4)
    playback.play(20.0)
    assert not playback.over(20.1)


def test_the_first_client_starts_a_clip_and_later_ones_join() -> None:
    playback = Playback(_clip(), loop=True, epoch=0.0)
    assert playback.current(1.0) is None
    playback.play_unless_started(1.0)
    playback.play_unless_started(2.0)
    assert playback.started == 1.0


def _shown(playback: Playback, now: float) -> Clip | None:
    segment = playback.current(now)
    return segment.clip if segment else None


# -- faults ------------------------------------------------------------------------------------


def test_faults_are_set_and_cleared_by_text() -> None:
    faults = Faults()
    for text in ("stall", "drop=0.25", "status=404", "drip=20"):
        faults.apply(text)
    assert (faults.stall, faults.drop, faults.status, faults.drip) == (True, 0.25, 404, 20.0)
    faults.apply("stall=off")
    assert not faults.stall
    faults.apply("clear")
    assert faults == Faults()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dorp=0.1", "no fault 'dorp', expected one of stall, "),
        ("drop=2", "drop: expected 0 to 1, found 2"),
        ("drop=much", "drop: expected a number"),
        ("stall=maybe", "stall: expected on or off"),
        ("status=200", "status: expected 400 to 599"),
    ],
)
def test_an_invalid_fault_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Faults().apply(text)


@given(st.binary(min_size=4, max_size=100), st.integers())
def test_damage_keeps_length_and_header(payload: bytes, seed: int) -> None:
    damaged = Faults(corrupt=1.0).damage(payload, random.Random(seed))
    assert damaged is not None
    assert len(damaged) == len(payload)
    assert damaged[:3] == payload[:3]


@pytest.mark.parametrize(("drop", "kept"), [(0.0, 1000), (1.0, 0)])
def test_the_share_of_dropped_packets_is_the_one_that_was_set(drop: float, kept: int) -> None:
    faults, rng = Faults(drop=drop), random.Random(0)
    assert sum(faults.damage(b"data", rng) is not None for _ in range(1000)) == kept


@pytest.mark.parametrize(
    "picture", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda\0\2", b"\xff\xd8\xff\xc0\0\3x"]
)
def test_what_is_no_baseline_jpeg_is_refused(picture: bytes) -> None:
    with pytest.raises(JpegError, match=r"truncated|expected baseline"):
        parse_jpeg(picture)


def test_jpeg_with_other_huffman_tables_is_refused() -> None:
    """RTP does not carry the tables; each side takes the standard ones."""
    _, coded = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8), [cv2.IMWRITE_JPEG_OPTIMIZE, 1])
    with pytest.raises(JpegError, match="standard Huffman tables"):
        parse_jpeg(coded.tobytes())
