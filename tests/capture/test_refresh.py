"""Periodic intra refresh: a recovery point begins what an IDR picture is elsewhere."""

from __future__ import annotations

import itertools

import av
import numpy as np
import pytest

from maskwatch.capture.damage import DamageFilter
from maskwatch.capture.h264 import refresh_length

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


def _passes(damage: DamageFilter) -> bool:
    return damage.passes(_Picture())  # type: ignore[arg-type]  # a picture that is no key frame


def test_after_a_loss_a_whole_refresh_makes_the_picture_sound() -> None:
    damage = DamageFilter()
    passed = []
    for number in range(60):
        damage.packet(sound=number != 5, refresh=18 if number % 20 == 0 else None)
        passed.append(_passes(damage))
    assert passed.index(True) == 40
    assert all(passed[40:])


def test_a_loss_within_a_refresh_makes_it_void() -> None:
    damage = DamageFilter()
    for number in range(60):
        damage.packet(sound=number % 20 != 10, refresh=18 if number % 20 == 0 else None)
        assert not _passes(damage)


def test_a_stream_without_key_pictures_is_sound_after_ten_seconds() -> None:
    damage = DamageFilter()
    passed = []
    for _ in range(300):
        damage.packet(sound=True)
        passed.append(_passes(damage))
    assert passed.index(True) == 249
