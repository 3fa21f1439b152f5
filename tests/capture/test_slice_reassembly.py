"""Key pictures that FFmpeg's parser cuts at repeated parameter sets are joined again."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.capture import h264
from maskwatch.capture.h264 import SliceReassembler, begins_picture
from maskwatch.lab.rtsp.clip import AccessUnit, Clip

ClipOf = Callable[..., Path]

_START = b"\x00\x00\x00\x01"


def repeating(clip: Clip) -> bytes:
    """Return the clip as an elementary stream with parameter sets before every key slice."""
    return b"".join(_START + nal for unit in clip.units for nal in _nals(clip, unit))


def _nals(clip: Clip, unit: AccessUnit) -> Iterator[bytes]:
    for nal in unit.nals:
        is_set = clip.codec.nal_type(nal) in clip.codec.parameter_set_types
        if unit.key and not is_set and begins_picture(clip.codec.value.lower(), _START + nal) is False:
            yield from clip.parameter_sets
        yield nal


def packets(stream: bytes, codec: str) -> Iterator[av.Packet[Any]]:
    with av.open(io.BytesIO(stream), format=codec) as container:
        video = container.streams.video[0]
        # As capture decodes: with more threads FFmpeg would not look for what is missing.
        video.codec_context.thread_count = 1
        yield from (packet for packet in container.demux(video) if packet.size)


@pytest.mark.parametrize("slices", [1, 4])
def test_the_pieces_of_a_picture_decode_to_the_original(clip_of: ClipOf, slices: int) -> None:
    path = clip_of(frames=40, gop=10, slices=slices)
    with av.open(str(path)) as container:
        truth = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    stream = repeating(Clip.load(path))
    cut = list(packets(stream, "h264"))
    assert len(cut) == 40 + 4 * (slices - 1), "FFmpeg cuts no longer: is the reassembler needed at all?"
    reassembler = SliceReassembler("h264")
    shown = [
        frame.to_ndarray(format="bgr24")
        for packet in packets(stream, "h264")
        for whole in reassembler.add(packet)
        for frame in whole.decode()
    ]
    assert len(shown) == len(truth)
    assert all(np.array_equal(one, other) for one, other in zip(shown, truth, strict=True))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_stream_of_whole_pictures_is_delayed_at_the_first_only(clip_of: ClipOf, codec: str) -> None:
    reassembler = SliceReassembler(codec)
    clip = Clip.load(clip_of(codec=codec, frames=30, gop=10, slices=4))
    stream = b"".join(_START + nal for unit in clip.units for nal in unit.nals)
    released = [len(reassembler.add(packet)) for packet in packets(stream, codec)]
    assert released == [0, 2, *([1] * 28)]


def test_an_endless_sequence_of_pieces_is_bounded(
    clip_of: ClipOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h264, "_MAX_BYTES", 40_000)
    reassembler = SliceReassembler("h264")
    cut = list(packets(repeating(Clip.load(clip_of(frames=40, gop=10, slices=4))), "h264"))
    piece = next(packet for packet in cut if begins_picture("h264", bytes(packet)) is False)
    for number in range(200):
        reassembler.add(piece)
        assert len(reassembler._held) <= 64, number
        assert sum(held.size for held in reassembler._held) <= 40_000


@given(st.sampled_from(["h264", "hevc"]), st.binary(max_size=200))
def test_any_bytes_are_accepted(codec: str, data: bytes) -> None:
    assert begins_picture(codec, data) in (True, False, None)
    assert begins_picture(codec, _START + data) in (True, False, None)
