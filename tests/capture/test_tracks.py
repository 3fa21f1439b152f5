"""The largest moving track is analysed, in square pixels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from maskwatch.capture.file import FileSource
from maskwatch.capture.source import square_size
from maskwatch.errors import SourceNoVideoError


def write(path: Path, tracks: list[tuple[tuple[int, int], int]], aspect: Fraction | None = None) -> None:
    """Write a file with tracks of ((width, height), pictures)."""
    with av.open(str(path), "w") as container:
        streams = []
        for size, _ in tracks:
            stream = container.add_stream("libx264", rate=10)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            if aspect is not None:
                stream.codec_context.sample_aspect_ratio = aspect
            streams.append(stream)
        for stream, (size, count) in zip(streams, tracks, strict=True):
            for number in range(count):
                picture = np.full((size[1], size[0], 3), 10 * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            container.mux(stream.encode(None))


COVER, SMALL, LARGE = ((320, 240), 1), ((64, 48), 12), ((128, 96), 12)
LARGE_COVER = ((640, 480), 1)


@pytest.mark.parametrize(
    ("tracks", "chosen"),
    [
        ([COVER, LARGE], 1),
        ([LARGE, COVER], 0),
        ([SMALL, LARGE], 1),
        ([LARGE_COVER, SMALL, LARGE], 2),
        ([LARGE_COVER, SMALL], 1),
        ([COVER], 0),
        ([COVER, LARGE_COVER], 1),
    ],
)
def test_the_largest_track_that_moves_is_analysed(
    tmp_path: Path, tracks: list[tuple[tuple[int, int], int]], chosen: int
) -> None:
    path = tmp_path / "film.mkv"
    write(path, tracks)
    with FileSource(path, rate=10) as source:
        frames = list(source)
        info = source.info
    assert (info.track, info.tracks) == (chosen, len(tracks))
    assert (frames[0].full_size, len(frames)) == tracks[chosen]
    assert bool(info.notes) == (len(tracks) > 1)


def test_another_track_can_be_chosen_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    write(path, [SMALL, LARGE])
    with FileSource(path, video_track=0) as source:
        assert next(iter(source)).full_size == SMALL[0]
    with pytest.raises(SourceNoVideoError, match="there is no video track 2; found 2, counted from 0"):
        FileSource(path, video_track=2)


@pytest.mark.parametrize(
    ("aspect", "square"),
    [
        (Fraction(6, 11), (704, 528)),
        (Fraction(16, 11), (1024, 288)),
        (Fraction(2), (1408, 288)),
        (Fraction(1), (704, 288)),
        (Fraction(1, 255), (704, 288)),
        (None, (704, 288)),
    ],
)
def test_pixels_are_made_square_without_losing_any(
    tmp_path: Path, aspect: Fraction | None, square: tuple[int, int]
) -> None:
    path = tmp_path / "field.mp4"
    write(path, [((704, 288), 4)], aspect)
    with FileSource(path, rotation=90) as source:
        frame = next(iter(source))
    assert frame.full_size == square[::-1]
    assert frame.full().shape[:2] == square
    assert frame.image.shape[:2] == square


def test_square_pixels_are_left_as_they_are() -> None:
    assert square_size((1920, 1080), 1.0) == (1920, 1080)


def _raw(path: Path, aspect: Fraction) -> bytes:
    write(path, [LARGE], aspect)
    return path.read_bytes()


def test_the_shape_of_pixels_may_change_within_a_stream(tmp_path: Path) -> None:
    film = tmp_path / "film.264"
    film.write_bytes(_raw(tmp_path / "1.264", Fraction(1)) + _raw(tmp_path / "2.264", Fraction(2)))
    with FileSource(film, rate=25) as source:
        sizes = [frame.full_size for frame in source]
    assert (sizes[0], sizes[-1], len(sizes)) == ((128, 96), (256, 96), 24)
