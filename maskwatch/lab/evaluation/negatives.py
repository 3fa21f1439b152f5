"""Footage in which nothing may be reported, never twice the same: for counting false alarms.

Two sources: recorded clips without any event, changed at each pass (cut, brightness, noise, where
they start), and empty rendered rooms with posters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np

from maskwatch.lab.scenes import Head, render, scene_named
from maskwatch.lab.scenes.arrays import Image
from maskwatch.lab.scenes.encode import ClipWriter
from maskwatch.lab.truth import Truth, truth_path

__all__ = ["QuietPass", "quiet_passes", "write_pass"]

_ROOM_SECONDS = 60.0
_FPS = 10.0
_SIZE = (960, 540)


@dataclass(frozen=True, slots=True)
class QuietPass:
    """One pass: over `clip`, or (None) over a rendered room with posters."""

    clip: Path | None
    seed: int
    seconds: float


def quiet_passes(footage: Sequence[Path], seconds: float) -> list[QuietPass]:
    """Return passes of `seconds` in all: half over `footage` where there is some, half rendered."""
    passes: list[QuietPass] = []
    filled, limit = 0.0, seconds / 2 if footage else 0.0
    lengths = [_length(clip) for clip in footage]
    while filled < limit:
        which = len(passes) % len(footage)
        passes.append(QuietPass(footage[which], len(passes), lengths[which]))
        filled += lengths[which]
    while filled < seconds:
        passes.append(QuietPass(None, len(passes), _ROOM_SECONDS))
        filled += _ROOM_SECONDS
    return passes


def _length(clip: Path) -> float:
    with av.open(str(clip)) as container:
        return float(container.duration or 0) / 1e6


def write_pass(quiet: QuietPass, path: Path, faces: Sequence[Head]) -> Truth:
    """Write the pass as a clip at `path`, its truth beside it; return that: it asks for nothing."""
    if quiet.clip is None:
        scene = replace(scene_named("empty", quiet.seed), seconds=quiet.seconds)
        return render(scene, path, size=_SIZE, fps=_FPS, seed=quiet.seed, faces=faces)
    rng = np.random.default_rng((quiet.seed, 7))
    change = _Change(rng)
    with av.open(str(quiet.clip)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 10)
        size = (stream.width // 2 * 2, stream.height // 2 * 2)
        skip = int(rng.integers(0, max(1, round(2 * rate))))
        with ClipWriter(path, size, rate, rate_factor=float(rng.uniform(22, 30))) as writer:
            written = 0
            for picture in _pictures(container, skip):
                writer.write(change(picture, size))
                written += 1
    truth = Truth(
        name=quiet.clip.stem,
        kind="quiet",
        seed=quiet.seed,
        size=size,
        rate=rate,
        seconds=written / rate,
        visits=(),
        frames=(),
    )
    truth.save(truth_path(path))  # last, as for a rendered clip: where it lies, the clip is whole
    return truth


def _pictures(container: av.container.InputContainer, skip: int) -> Iterator[Image]:
    for number, frame in enumerate(container.decode(video=0)):
        if number >= skip:
            yield frame.to_ndarray(format="bgr24")


class _Change:
    """One way of being filmed a little differently, kept for a whole pass."""

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
        """Return the picture cut, toned and noisy, as planar YUV 4:2:0."""
        width, height = size
        room = (self._zoom - 1) * np.array(size) / 2
        move = -room + self._shift * room
        turn = np.array([[self._zoom, 0, move[0]], [0, self._zoom, move[1]]], np.float64)
        picture = cv2.warpAffine(picture, turn, size)
        picture = cv2.LUT(cv2.flip(picture, 1) if self._flip else picture, self._tone)
        planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        noise = self._rng.normal(0, self._sigma, (height, width)).round().astype(np.int16)
        planes[:height] = cv2.add(planes[:height], noise, dtype=cv2.CV_8U)
        return planes
