"""A recorded file as a source: its own clock, every run the same, errors of one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from maskwatch.capture.file import EPOCH, FileSource, PictureTimes
from maskwatch.errors import (
    SourceEndedError,
    SourceError,
    SourceGarbageError,
    SourceNotFoundError,
    SourceNoVideoError,
)
from tests.fakes.clips import make_clip, make_sound, number_of

ClipOf = Callable[..., Path]
Image = npt.NDArray[np.uint8]


def _half(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] // 2, size[1] // 2


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg4"])
def test_every_fifth_picture_of_25_a_second_is_sampled_at_5_a_second(
    clip_of: ClipOf, codec: str
) -> None:
    with FileSource(clip_of(codec=codec), rate=5) as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(0, 50, 5))
    assert [frame.moment for frame in frames] == pytest.approx([n / 5 for n in range(10)])
    assert [frame.sequence for frame in frames] == list(range(10))
    assert (source.counts.decoded, source.counts.sampled, source.counts.skipped) == (50, 10, 0)


def test_frames_carry_the_file_s_own_time(clip_of: ClipOf) -> None:
    start = datetime(2026, 5, 1, 12, tzinfo=UTC)
    with FileSource(clip_of(), rate=5, start=start) as source:
        frames = list(source)
    assert frames[0].captured_at == start
    assert frames[9].captured_at == start + timedelta(seconds=1.8)
    with FileSource(clip_of()) as source:
        assert next(iter(source)).captured_at == EPOCH


@pytest.mark.parametrize(
    ("creation_time", "start"),
    [
        ("2025-05-04T10:00:00.000000Z", datetime(2025, 5, 4, 10, tzinfo=UTC)),
        ("1970-01-01T00:00:00.000000Z", None),
        ("soon", None),
    ],
)
def test_a_file_begins_at_its_own_creation_time(
    clip_of: ClipOf, tmp_path: Path, creation_time: str, start: datetime | None
) -> None:
    path = tmp_path / "dated.mp4"
    with av.open(str(clip_of())) as source, av.open(str(path), "w") as copy:
        copy.metadata["creation_time"] = creation_time
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    with FileSource(path) as source_of_dated:
        assert source_of_dated.start_is_known == (start is not None)
        assert next(iter(source_of_dated)).captured_at == (start or EPOCH)


def test_two_runs_give_the_same_bytes(clip_of: ClipOf) -> None:
    runs = []
    for _ in range(2):
        with FileSource(clip_of(), rate=10, fit=_half) as source:
            runs.append([(f.moment, f.image.tobytes(), f.full().tobytes()) for f in source])
    assert runs[0] == runs[1]


def test_frames_are_made_at_analysis_size_and_at_full_size_on_demand(clip_of: ClipOf) -> None:
    with FileSource(clip_of(), fit=_half) as source:
        frame = next(iter(source))
        assert frame.image.shape == (120, 160, 3)
        assert frame.full_size == (320, 240)
        assert frame.scale == 2.0
        assert frame.full().shape == (240, 320, 3)
        assert frame.full() is frame.full()
        assert frame.full().dtype == frame.image.dtype == np.uint8
    with av.open(str(clip_of())) as container:
        expected = next(container.decode(video=0)).to_ndarray(format="bgr24")
    assert np.abs(frame.full().astype(int) - expected).mean() < 1.0
    shrunk = cv2.resize(expected, (160, 120), interpolation=cv2.INTER_AREA)
    assert np.abs(_grey(frame.image) - _grey(shrunk)).mean() < 3.0


def _grey(image: Image) -> npt.NDArray[np.int64]:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.int64)


@pytest.mark.parametrize(
    ("rotation", "turn"),
    [
        (90, cv2.ROTATE_90_CLOCKWISE),
        (180, cv2.ROTATE_180),
        (270, cv2.ROTATE_90_COUNTERCLOCKWISE),
    ],
)
def test_the_configured_rotation_is_applied(clip_of: ClipOf, rotation: int, turn: int) -> None:
    with FileSource(clip_of()) as source:
        upright = next(iter(source)).image
    with FileSource(clip_of(), rotation=rotation, fit=_half) as source:
        frame = next(iter(source))
    assert np.array_equal(frame.full(), cv2.rotate(upright, turn))
    assert frame.size == tuple(length // 2 for length in frame.full_size)
    assert frame.image.flags.c_contiguous


def test_a_rotation_declared_in_the_file_is_applied_as_opencv_does(tmp_path: Path) -> None:
    path = _rotated(make_clip(tmp_path / "plain.mp4", frames=3), tmp_path / "turned.mp4")
    good, expected = cv2.VideoCapture(str(path)).read()
    assert good
    with FileSource(path) as source:
        frame = next(iter(source))
    assert frame.full_size == (240, 320)
    assert np.abs(frame.image.astype(int) - expected).mean() < 1.0


def _rotated(path: Path, target: Path) -> Path:
    """Write the same packets with a display matrix that rotates."""
    with av.open(str(path)) as source, av.open(str(target), "w") as sink:
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        copy.set_display_rotation(-90)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                sink.mux(packet)
    return target


def test_reading_past_the_end_of_the_file_is_an_error(clip_of: ClipOf) -> None:
    with FileSource(clip_of(), rate=1) as source:
        assert source.read(0).sequence == 0
        assert source.read(0).sequence == 1
        with pytest.raises(SourceEndedError, match="the file ended"):
            source.read(0)


def test_a_file_has_codec_size_rate_and_duration(clip_of: ClipOf) -> None:
    with FileSource(clip_of(codec="hevc")) as source:
        assert (source.info.codec, source.info.size, source.info.rate) == ("hevc", (320, 240), 25.0)
        assert source.duration == pytest.approx(2.0)


def _text(path: Path) -> Path:
    path.write_text("this is no video at all\n" * 100)
    return path


def _cut(path: Path) -> Path:
    whole = make_clip(path.with_suffix(".whole.mp4")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # the index at the end is gone
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (_text, SourceGarbageError, "not a readable video"),
        (_cut, SourceGarbageError, "not a readable video"),
        (_empty, SourceGarbageError, "not a readable video"),
        (lambda path: path, SourceNotFoundError, "no such stream or file"),
        (lambda path: path.parent, SourceNotFoundError, "a directory, expected a video file"),
        (lambda path: make_sound(path.with_suffix(".wav")), SourceNoVideoError, "no video track"),
    ],
)
def test_a_file_that_is_not_a_video_is_an_error_of_one_line(
    tmp_path: Path, make: Callable[[Path], Path], error: type[SourceError], words: str
) -> None:
    path = make(tmp_path / "clip.mp4")
    with pytest.raises(error, match=f"^{re.escape(str(path))}: .*{words}") as caught:
        FileSource(path)
    assert "\n" not in str(caught.value)


def test_damaged_pictures_are_counted_and_skipped(clip_of: ClipOf, tmp_path: Path) -> None:
    whole = bytearray(clip_of("ts").read_bytes())
    middle = len(whole) * 3 // 10
    whole[middle : middle + 1500] = b"\xff" * 1500
    path = tmp_path / "damaged.ts"
    path.write_bytes(whole)
    with FileSource(path, rate=25) as source:
        numbers = [number_of(frame.image) for frame in source]
    assert source.counts.damaged > 0
    assert numbers[:5] == [0, 1, 2, 3, 4]
    assert numbers[-25:] == list(range(25, 50))  # sound again from the second key frame on
    assert len(numbers) < 50


def test_a_file_without_one_sound_picture_is_garbage(clip_of: ClipOf, tmp_path: Path) -> None:
    whole = clip_of("ts", frames=5).read_bytes()
    packets = [whole[at : at + 188] for at in range(0, len(whole), 188)]
    path = tmp_path / "damaged.ts"
    path.write_bytes(b"".join(p if i < 4 else p[:4] + b"\x00" * 184 for i, p in enumerate(packets)))
    with pytest.raises(SourceError, match=r"damaged\.ts"), FileSource(path) as source:
        list(source)


@pytest.mark.shared
def test_the_upright_clip_of_a_telephone_is_rotated(shared_data: Path) -> None:
    with FileSource(shared_data / "videos" / "khanh.mp4") as source:
        frame = next(iter(source))
    assert frame.full_size == (720, 1280)


def _joined(tmp_path: Path, clip: Path) -> Path:
    joined = tmp_path / f"joined{clip.suffix}"
    joined.write_bytes(clip.read_bytes() * 2)
    return joined


@pytest.mark.parametrize("suffix", ["ts", "264"])
def test_joined_recordings_follow_one_another_in_time(
    clip_of: ClipOf, tmp_path: Path, suffix: str
) -> None:
    """The stamps of MPEG-TS begin again; a bare stream has none, but the encoder declares its rate."""
    joined = _joined(tmp_path, clip_of(suffix, frames=20, rate=10, gop=10))
    with FileSource(joined, rate=10) as source:
        moments = [frame.moment for frame in source]
    assert moments == pytest.approx([n / 10 for n in range(40)])


def test_pictures_that_are_stamped_alike_are_counted() -> None:
    times = PictureTimes(0.1)
    pictures = []
    for pts in (7, 7, 7, 8, 8, 3, None, 4):
        picture = av.VideoFrame(16, 16, "gray")
        picture.pts, picture.time_base = pts, Fraction(1)
        pictures.append(picture)
    moments = [times.next(picture) for picture in pictures]
    assert moments == pytest.approx([0.0, 0.1, 0.2, 1.2, 1.3, 1.4, 1.5, 1.6])
