"""Negative footage: clips in which nothing may be reported, for counting false alarms.

There are two sources: recorded clips without events, changed in each pass (crop, brightness, noise,
start), and empty rendered rooms with posters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np

from maskwatch.files import ffmpeg_name
from maskwatch.lab.arrays import Image
from maskwatch.lab.scenes import Head, render, scene_named
from maskwatch.lab.scenes.encode import ClipWriter
from maskwatch.lab.truth import Truth, truth_path

_ROOM_SECONDS = 60.0
_FPS = 10.0
_SIZE = (960, 540)


@dataclass(frozen=True, slots=True)
class NegativePass:
    """One pass over `clip`, or over a rendered room with posters if `clip` is None."""

    clip: Path | None
    seed: int
    seconds: float


def negative_passes(footage: Sequence[Path], seconds: float) -> list[NegativePass]:
    """Return passes of `seconds` in total: half over `footage` if any, the rest rendered."""
    passes: list[NegativePass] = []
    filled, limit = 0.0, seconds / 2 if footage else 0.0
    lengths = [_length(clip) for clip in footage]
    while filled < limit:
        index = len(passes) % len(footage)
        passes.append(NegativePass(footage[index], len(passes), lengths[index]))
        filled += lengths[index]
    while filled < seconds:
        passes.append(NegativePass(None, len(passes), _ROOM_SECONDS))
        filled += _ROOM_SECONDS
    return passes


def _length(clip: Path) -> float:
    with av.open(ffmpeg_name(clip)) as container:
        return float(container.duration or 0) / 1e6


def write_pass(negative: NegativePass, path: Path, faces: Sequence[Head]) -> Truth:
    """Write the pass as a clip at `path`, with a ground truth that requires no event; return that."""
    if negative.clip is None:
        scene = replace(scene_named("empty", negative.seed), seconds=negative.seconds)
        return render(scene, path, size=_SIZE, fps=_FPS, seed=negative.seed, faces=faces)
    rng = np.random.default_rng((negative.seed, 7))
    variation = _Variation(rng)
    with av.open(ffmpeg_name(negative.clip)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 10)
        size = (stream.width // 2 * 2, stream.height // 2 * 2)
        skip = int(rng.integers(0, max(1, round(2 * rate))))
        with ClipWriter(path, size, rate, rate_factor=float(rng.uniform(22, 30))) as writer:
            written = 0
            for picture in _pictures(container, skip):
                writer.write(variation(picture, size))
                written += 1
    truth = Truth(
        name=negative.clip.stem,
        kind="quiet",
        seed=negative.seed,
        size=size,
        rate=rate,
        seconds=written / rate,
        visits=(),
        frames=(),
    )
    truth.save(truth_path(path))  # last, as for a rendered clip: it marks the clip as complete
    return truth


def _pictures(container: av.container.InputContainer, skip: int) -> Iterator[Image]:
    for number, frame in enumerate(container.decode(video=0)):
        if number >= skip:
            yield frame.to_ndarray(format="bgr24")


class _Variation:
    """Random crop, brightness, noise and mirroring, constant for one pass."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._zoom = float(rng.uniform(1.0, 1.15))
        self._shift = rng.uniform(-1, 1, 2)
        gain, offset = float(rng.uniform(0.75, 1.25)), float(rng.uniform(-15, 15))
        table = np.clip(np.arange(256) * gain + offset, 0, 255)
        self._tone = table.astype(np.uint8)
        self._sigma = float(rng.uniform(0.5, 4.0))
        self._flip = bool(rng.random() < 0.5)

    def __call__(self, picture: Image, size: tuple[int, int]) -> Image:
        """Return the varied picture as planar YUV 4:2:0."""
        width, height = size
        margin = (self._zoom - 1) * np.array(size) / 2
        offset = -margin + self._shift * margin
        matrix = np.array([[self._zoom, 0, offset[0]], [0, self._zoom, offset[1]]], np.float64)
        picture = cv2.warpAffine(picture, matrix, size)
        picture = cv2.LUT(cv2.flip(picture, 1) if self._flip else picture, self._tone)
        planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        noise = self._rng.normal(0, self._sigma, (height, width)).round().astype(np.int16)
        planes[:height] = cv2.add(planes[:height], noise, dtype=cv2.CV_8U)
        return planes
