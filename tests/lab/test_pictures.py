"""A picture is read completely, or an error names it and the reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.errors import DataError
from maskwatch.lab.pictures import limited, read_picture, scaled
from tests.fakes.training_data import picture


def encoded(suffix: str) -> bytes:
    """A picture as the bytes of a file."""
    return cv2.imencode(suffix, picture("with_mask", 1))[1].tobytes()


def claiming(side: int) -> bytes:
    """A PNG of a few bytes whose header claims to be that wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_a_truncated_picture_is_refused(tmp_path: Path, suffix: str) -> None:
    """Half of a truncated JPEG would be grey."""
    whole, path = encoded(suffix), tmp_path / f"a{suffix}"
    path.write_bytes(whole)
    assert read_picture(path).shape == (48, 48, 3)
    for part in (len(whole) // 3, len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole[:part])
        with pytest.raises(DataError, match=f"a{suffix}: not a picture, or truncated"):
            read_picture(path)


@pytest.mark.parametrize("content", [b"", b"hello", claiming(100_000), claiming(2_000_000)])
def test_a_file_that_is_not_a_picture_is_named(tmp_path: Path, content: bytes) -> None:
    """An empty file, text, and a picture too large for memory."""
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: (not a picture|.*100 million)"):
        read_picture(tmp_path / "a.png")


def test_a_path_that_is_not_a_file_is_named(tmp_path: Path) -> None:
    """A folder, a link to itself, a link to nowhere."""
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "nowhere.jpg").symlink_to("no.jpg")
    for name, reason in (
        ("folder", "directory"),
        ("loop", "symbolic links"),
        ("nowhere", "No such file"),
    ):
        with pytest.raises(DataError, match=rf"{name}\.jpg: .*{reason}"):
            read_picture(tmp_path / f"{name}.jpg")


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([1, 32, 200]))
def test_a_downscaled_picture_keeps_at_least_one_pixel(height: int, width: int, longest: int) -> None:
    """A thin picture keeps one pixel, and its longer side has the requested length."""
    image = np.zeros((height, width, 3), np.uint8)
    small = limited(image, longest)
    assert max(small.shape[:2]) == min(longest, max(height, width))
    assert min(small.shape[:2]) >= 1
    assert min(scaled(image, 0.001).shape[:2]) >= 1


@pytest.mark.parametrize("side", [12_000, 40_000])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    """A PNG of a few kilobytes may decode to gigabytes."""
    path = tmp_path / "wall.png"
    path.write_bytes(claiming(side))
    with pytest.raises(DataError, match=r"wall\.png: .*100 million"):
        read_picture(path)


def test_a_picture_whose_size_is_not_known_beforehand_is_refused(tmp_path: Path) -> None:
    """OpenCV would decode this Radiance picture of some kilobytes to gigabytes, if it were higher."""
    width, height = 30_000, 100
    channel = bytes([255, 0]) * (width // 127) + bytes([128 + width % 127, 0])
    row = b"\2\2" + width.to_bytes(2, "big") + 4 * channel
    header = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n"
    path = tmp_path / "wall.hdr"
    path.write_bytes(header.encode() + height * row)
    with pytest.raises(DataError, match=r"wall\.hdr: not a picture"):
        read_picture(path)
