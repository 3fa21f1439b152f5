"""Frames hold the decoder's planes; colours of a part are those of the whole picture."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from maskwatch.capture.picture import FrameMaker
from maskwatch.capture.source import native_size
from maskwatch.domain.frame import Frame

_UNSTATED = 2  # of FFmpeg, for the colour space; for the range 0
_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def _decoded(
    size: tuple[int, int] = (320, 180),
    pixel_format: str = "yuv420p",
    *,
    matrix: int = _UNSTATED,
    levels: int = 0,
) -> av.VideoFrame:
    """A smooth picture of all colours, tagged with a colour space and a range."""
    rng = np.random.default_rng(3)
    bgr = cv2.resize(rng.integers(30, 226, (6, 8, 3), np.uint8), size, interpolation=cv2.INTER_LINEAR)
    video = av.VideoFrame.from_ndarray(np.asarray(bgr, np.uint8), format="bgr24").reformat(
        format=pixel_format
    )
    video.colorspace, video.color_range = matrix, levels
    return video


def _frame(video: av.VideoFrame, *, rotation: int = 0, **keys: float) -> Frame:
    return FrameMaker(native_size, rotation).make(video, 0, _AT, 0.0, **keys)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize(
    ("pixel_format", "matrix", "levels"),
    [
        ("yuv420p", _UNSTATED, 0),
        ("yuv420p", Colorspace.ITU709, ColorRange.MPEG),
        ("yuv420p", Colorspace.ITU709, ColorRange.JPEG),
        ("yuv420p", Colorspace.ITU601, ColorRange.JPEG),
        ("yuvj420p", _UNSTATED, 0),
        ("nv12", _UNSTATED, 0),
        ("yuv420p10le", _UNSTATED, 0),
    ],
)
def test_a_part_has_the_colours_of_the_whole_picture(
    pixel_format: str, matrix: int, levels: int, rotation: int
) -> None:
    """FFmpeg converts the whole picture, and this project's own code the part."""
    video = _decoded(pixel_format=pixel_format, matrix=matrix, levels=levels)
    left, top, right, bottom = area = (31, 20, 130, 111)
    part = _frame(video, rotation=rotation).camera.part(area)
    whole = _frame(video, rotation=rotation).full()[top:bottom, left:right]
    assert part.shape == whole.shape
    assert np.abs(part.astype(int) - whole).mean() < 2.5
    assert np.abs(part.astype(int) - whole).max() < 20


@pytest.mark.parametrize(
    "area", [(0, 0, 1, 1), (0, 0, 161, 121), (160, 120, 161, 121), (3, 119, 9, 121)]
)
def test_a_part_of_a_picture_with_odd_sides_may_touch_each_edge(area: tuple[int, int, int, int]) -> None:
    frame = _frame(_decoded((161, 121)))
    left, top, right, bottom = area
    part, whole = frame.camera.part(area), frame.full()[top:bottom, left:right]
    assert part.shape == whole.shape == (bottom - top, right - left, 3)
    assert np.abs(part.astype(int) - whole).max() < 20


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("levels", [ColorRange.MPEG, ColorRange.JPEG])
def test_the_levels_of_the_luma_are_those_of_the_grey_picture(rotation: int, levels: int) -> None:
    frame = _frame(_decoded(levels=levels), rotation=rotation)
    grey = cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY)
    found = frame.luma.levels(frame.luma.plane.astype(np.float32))
    assert found.shape == grey.shape
    assert np.abs(np.clip(found, 0, 255) - grey).mean() < 2.0


def test_the_luma_is_the_decoders_own_plane() -> None:
    video = _decoded()
    plane = np.frombuffer(cast("memoryview", video.planes[0]), np.uint8)
    assert np.shares_memory(_frame(video).luma.plane, plane)


def test_pixels_that_are_not_square_are_stretched_before_anything_is_measured() -> None:
    frame = _frame(_decoded(), pixel_aspect=2.0)
    assert frame.size == frame.full_size == (640, 180)
    assert frame.camera.part((0, 0, 640, 180)).shape == frame.full().shape == (180, 640, 3)


@pytest.mark.parametrize(("rotation", "size"), [(0, (640, 180)), (90, (180, 640)), (180, (640, 180))])
def test_pixels_are_made_square_before_the_picture_is_turned(
    rotation: int, size: tuple[int, int]
) -> None:
    frame = _frame(_decoded((320, 180)), rotation=rotation, pixel_aspect=2.0)
    assert frame.camera.size == frame.analysed.size == size
