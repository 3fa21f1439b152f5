"""Periodic intra refresh: a recovery point begins what an IDR picture is elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable
from pathlib import Path

import av
import numpy as np
import pytest

from maskwatch.capture.damage import Damage, DamageFilter, LogWatch
from maskwatch.capture.h264 import nal_starts, refresh_length
from tests.fakes.clips import make_clip

_PERIOD = 20
_LOST = 2


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


def _h265_packets(path: Path, *, intra_refresh: bool) -> list[bytes]:
    """Return packets with a key picture, or a recovery point, in every twentieth."""
    make_clip(
        path, codec="hevc", size=(160, 128), frames=80, rate=10, gop=_PERIOD, intra_refresh=intra_refresh
    )
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    if intra_refresh:
        return [_H265_RECOVERY_POINT + p if n % _PERIOD == 0 else p for n, p in enumerate(packets)]
    return packets


def _h265_decoder(first: bytes) -> av.VideoCodecContext:
    decoder = av.CodecContext.create("hevc", "r")
    decoder.thread_count = 1
    sets = [at for at in nal_starts(first) if first[at] >> 1 in (32, 33, 34)]
    decoder.extradata = first[sets[0] - 4 : first.index(b"\0\0\1", sets[-1])]
    return decoder


def _sound(packets: list[bytes], numbers: Iterable[int], *, keys: Container[int] = ()) -> list[int]:
    """Decode these packets as a reader does; return the numbers of the pictures that pass."""
    log, damage, passed = LogWatch(), DamageFilter(), []
    damage.start()
    decoder = _h265_decoder(packets[0])
    before = -1
    for number in numbers:
        key, refresh = number in keys, refresh_length("hevc", packets[number])
        if number - before > _LOST + 1:
            damage.skipped("hevc", key=key, refresh=refresh)
        before = number
        damage.resume(decoder, key=key, refresh=refresh)
        frames = decoder.decode(av.Packet(packets[number]))
        damage.packet(log.damage(), refresh=refresh)
        passed += [number for frame in frames if damage.passes(frame)]
    return passed


def test_h265_that_is_joined_within_a_refresh_is_sound_after_the_next_one(tmp_path: Path) -> None:
    """The first pictures of a refresh may name pictures that the client never had."""
    packets = _h265_packets(tmp_path / "refresh.265", intra_refresh=True)
    assert refresh_length("hevc", packets[_PERIOD]) == 19
    assert _sound(packets, range(7, 80)) == [*range(41, 80)]


def test_h265_without_key_pictures_is_sound_again_after_a_loss(tmp_path: Path) -> None:
    packets = _h265_packets(tmp_path / "refresh.265", intra_refresh=True)
    assert _sound(packets, [*range(5), *range(5 + _LOST, 80)]) == [*range(5), *range(41, 80)]


@pytest.mark.parametrize(("intra_refresh", "sound"), [(False, 40), (True, 61)])
def test_after_skipped_pictures_h265_is_sound_at_the_next_refresh(
    intra_refresh: bool, sound: int, tmp_path: Path
) -> None:
    packets = _h265_packets(tmp_path / "stream.265", intra_refresh=intra_refresh)
    keys = () if intra_refresh else range(0, 80, _PERIOD)
    assert _sound(packets, [*range(25), *range(40, 80)], keys=keys) == [*range(25), *range(sound, 80)]
