"""Periodic intra refresh: a recovery point begins what an IDR picture is elsewhere."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from maskwatch.capture.damage import Damage, DamageFilter, LogWatch
from maskwatch.capture.h264 import nal_starts, refresh_length
from tests.fakes.clips import make_clip

_PERIOD = 20


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The packets of a stream that is refreshed column by column."""
    path = tmp_path_factory.mktemp("refresh") / "refresh.h264"
    with av.open(str(path), "w") as container:
        options = {"x264-params": f"intra-refresh=1:keyint={_PERIOD}:bframes=0:scenecut=0:threads=1"}
        stream = container.add_stream("libx264", rate=10, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(100):
            picture = np.full((240, 320, 3), number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_recovery_points_are_found_once_a_period(packets: list[bytes]) -> None:
    found = [n for n, packet in enumerate(packets) if refresh_length("h264", packet) is not None]
    assert len(found) >= 4
    assert {b - a for a, b in itertools.pairwise(found)} == {_PERIOD}
    assert all(0 < (refresh_length("h264", packets[n]) or 0) <= _PERIOD for n in found[1:])


@pytest.mark.parametrize("message", [b"", b"\6", b"\6\6", b"\6\xff\xff\xff", b"\6\6\1\0"])
def test_a_cut_message_is_no_recovery_point(message: bytes) -> None:
    assert refresh_length("h264", b"\0\0\1" + message) is None


class _Picture:
    is_corrupt = False
    key_frame = False


def _loss(lost: bool) -> Damage:
    return Damage.LOSS if lost else Damage.NONE


def _passes(damage: DamageFilter) -> bool:
    return damage.passes(_Picture())  # type: ignore[arg-type]  # a picture that is no key frame


def test_after_a_loss_a_whole_refresh_makes_the_picture_sound() -> None:
    damage = DamageFilter()
    passed = []
    for number in range(60):
        damage.packet(_loss(number == 5), refresh=18 if number % 20 == 0 else None)
        passed.append(_passes(damage))
    assert passed.index(True) == 40
    assert all(passed[40:])


def test_a_loss_within_a_refresh_makes_it_void() -> None:
    damage = DamageFilter()
    for number in range(60):
        damage.packet(_loss(number % 20 == 10), refresh=18 if number % 20 == 0 else None)
        assert not _passes(damage)


def test_a_stream_without_key_pictures_is_sound_after_ten_seconds() -> None:
    damage = DamageFilter()
    passed = []
    for _ in range(300):
        damage.packet(Damage.NONE)
        passed.append(_passes(damage))
    assert passed.index(True) == 249


# payloadType 6 with a recovery_poc_cnt of 19, which is coded with a sign in H.265.
_H265_RECOVERY_POINT = b"\0\0\0\1\x4e\x01\6\2\x04\xd4\x80"


def test_h265_that_is_joined_within_a_refresh_is_sound_after_the_next_one(tmp_path: Path) -> None:
    """The first pictures of a refresh may name pictures that the client never had."""
    path = tmp_path / "refresh.265"
    make_clip(path, codec="hevc", size=(160, 128), frames=60, rate=10, gop=_PERIOD, intra_refresh=True)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    packets = [_H265_RECOVERY_POINT + p if n % _PERIOD == 0 else p for n, p in enumerate(packets)]
    assert refresh_length("hevc", packets[_PERIOD]) == 19
    log, damage = LogWatch(), DamageFilter()
    damage.start()
    decoder = av.CodecContext.create("hevc", "r")
    decoder.thread_count = 1
    sets = [at for at in nal_starts(packets[0]) if packets[0][at] >> 1 in (32, 33, 34)]
    decoder.extradata = packets[0][sets[0] - 4 : packets[0].index(b"\0\0\1", sets[-1])]
    sound = []
    for number, packet in enumerate(packets[7:], start=7):
        frames = decoder.decode(av.Packet(packet))
        damage.packet(log.damage(), refresh=refresh_length("hevc", packet))
        sound += [number for frame in frames if damage.passes(frame)]
    assert sound == list(range(41, 60))
