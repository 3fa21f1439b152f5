"""Pictures that an H.264 camera left out are noticed by gaps in frame_num."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.capture.h264 import FrameNumGaps
from maskwatch.lab.rtsp.clip import Clip

ClipOf = Callable[..., Path]

_START = b"\x00\x00\x01"


@pytest.fixture(scope="module")
def packets(clip_of: ClipOf) -> list[bytes]:
    """Three groups of ten pictures; every picture is one that others build on."""
    clip = Clip.load(clip_of(frames=30, gop=10))
    return [b"".join(_START + nal for nal in unit.nals) for unit in clip.units]


def test_nothing_is_missing_from_a_whole_stream(packets: list[bytes]) -> None:
    gaps = FrameNumGaps()
    assert not any(gaps.missed(packet) for packet in packets * 20)


@pytest.mark.parametrize("lost", range(20, 29))
def test_a_picture_left_out_is_noticed_at_the_next_one(packets: list[bytes], lost: int) -> None:
    gaps = FrameNumGaps()
    came = packets[:lost] + packets[lost + 1 :]
    found = [number for number, packet in enumerate(came) if gaps.missed(packet)]
    assert found == [lost]


def test_pictures_skipped_on_purpose_are_not_missed(packets: list[bytes]) -> None:
    gaps = FrameNumGaps()
    before = [gaps.missed(packet) for packet in packets[:23]]
    gaps.skip()
    assert not any(before + [gaps.missed(packet) for packet in packets[26:]])


def test_the_gaps_of_a_camera_that_always_has_some_are_ignored(packets: list[bytes]) -> None:
    gaps = FrameNumGaps()
    odd = [packet for number, packet in enumerate(packets) if number % 3 != 1]
    assert not any(gaps.missed(packet) for packet in odd * 5)


def test_a_camera_that_begins_to_have_gaps_is_soon_ignored(packets: list[bytes]) -> None:
    gaps = FrameNumGaps()
    odd = [packet for number, packet in enumerate(packets) if number % 3 != 1]
    for packet in packets:
        gaps.missed(packet)
    found = [gaps.missed(packet) for packet in odd * 10]
    assert any(found[: len(odd)])
    assert not any(found[-len(odd) :])


@given(st.lists(st.sampled_from([b"\x67", b"\x68", b"\x65", b"\x61", b"\x01"]), max_size=5), st.data())
def test_any_bytes_are_accepted(kinds: list[bytes], data: st.DataObject) -> None:
    gaps = FrameNumGaps()
    for kind in kinds:
        body = data.draw(st.binary(max_size=60))
        assert gaps.missed(_START + kind + body) in (True, False)
    assert gaps.missed(data.draw(st.binary(max_size=200))) in (True, False)
