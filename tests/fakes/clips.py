"""Small video clips in which every picture shows its number, in a code that survives compression."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

_BITS = 10
_BLOCK = 16
_SQUARE = Fraction(1)
_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency", "bf": "0"}


def picture(number: int, size: tuple[int, int] = (320, 240), seed: int = 0) -> Image:
    """Return uint8 BGR: a moving texture, under a row of blocks that encode the number."""
    width, height = size
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 20, width // 8 + 20, 3), dtype=np.uint8)
    texture = cv2.resize(coarse, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    shift = 2 * (number % 40)
    image = np.ascontiguousarray(texture[shift : shift + height, shift : shift + width])
    for bit in range(_BITS):
        value = 235 if number >> bit & 1 else 20
        image[:_BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = value
    return image


def number_of(image: Image, scale: float = 1.0) -> int:
    """Return the number that a picture shows; `scale` is its size relative to the original's."""
    middle = int(_BLOCK * scale / 2)
    columns = [int((bit + 0.5) * _BLOCK * scale) for bit in range(_BITS)]
    bits = [int(image[middle, column].mean() > 128) for column in columns]
    return sum(bit << position for position, bit in enumerate(bits))


def make_clip(  # noqa: PLR0913 - every one has a default, and each test names the few it needs
    path: Path,
    *,
    codec: str = "h264",
    size: tuple[int, int] = (320, 240),
    frames: int = 50,
    rate: int | Fraction = 25,
    gop: int = 25,
    seed: int = 0,
    black: bool = False,
    slices: int = 1,
    aspect: Fraction = _SQUARE,
    intra_refresh: bool = False,
) -> Path:
    """Write a clip of numbered pictures; the suffix of `path` chooses the container."""
    images = [picture(number, size, seed) // (12 if black else 1) for number in range(frames)]
    return write_clip(
        path,
        images,
        codec=codec,
        rate=rate,
        gop=gop,
        slices=slices,
        aspect=aspect,
        intra_refresh=intra_refresh,
    )


def write_clip(
    path: Path,
    images: Sequence[Image],
    *,
    codec: str = "h264",
    rate: int | Fraction = 25,
    gop: int = 25,
    slices: int = 1,
    aspect: Fraction = _SQUARE,
    intra_refresh: bool = False,
) -> Path:
    """Write a clip of these pictures, uint8 BGR, all of one size.

    With a key frame every `gop`, or a refresh by columns in as many. `aspect` is that of a pixel.
    """
    refresh = f"intra-refresh={int(intra_refresh)}"
    options = {**_OPTIONS, "g": str(gop), "keyint_min": str(gop), "sc_threshold": "0"}
    if codec == "h264":
        options["x264-params"] = f"sliced-threads=0:slices={slices}:{refresh}"
    if codec == "hevc":
        options["x265-params"] = (
            f"log-level=none:keyint={gop}:min-keyint={gop}:bframes=0:scenecut=0:slices={slices}:{refresh}"
        )
    if codec == "mjpeg":
        options = {"huffman": "default"}
    encoder = {"h264": "libx264", "hevc": "libx265"}.get(codec, codec)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = number, 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_sound(path: Path) -> Path:
    """Write a second of silence with no video track."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
