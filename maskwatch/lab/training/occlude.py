"""Paints masks and occluders (hands, scarves, glasses, ...) onto faces, placed by their landmarks.

A painted mask turns a face without a mask of any source into a masked one, so that no source
predicts a label. An occluder is no mask: it keeps the label, and the model learns the difference.
Landmarks are float (5, 2): right eye, left eye, nose tip, right and left mouth corner, in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.lab.arrays import Points, blend, polygon
from maskwatch.lab.truth import Wear

if TYPE_CHECKING:
    from numpy.random import Generator

    from maskwatch.domain.frame import Image

# BGR; the common colours of masks are listed several times.
_CLOTH = (
    (225, 190, 150), (215, 180, 120), (235, 235, 235), (210, 215, 215), (245, 245, 245), (25, 25, 25),
    (40, 38, 36), (70, 65, 62), (200, 215, 170), (200, 180, 225), (120, 110, 105), (140, 90, 60),
)  # fmt: skip


# Upper edge in the centre, upper and lower edge at the side, lower edge in the centre; in units of
# the distance from the centre of the eyes to that of the mouth. The nose tip is at about 0.6.
_EDGES = {
    Wear.MASKED: ((0.18, 0.45), (0.32, 0.6), (1.25, 1.5), (1.55, 1.85)),
    Wear.UNDER_NOSE: ((0.74, 0.88), (0.6, 0.85), (1.3, 1.5), (1.55, 1.85)),
    Wear.ON_CHIN: ((1.12, 1.38), (0.95, 1.25), (1.45, 1.7), (1.65, 2.0)),
}


@dataclass(frozen=True, slots=True)
class _Axes:
    """Coordinates of a face: from the centre of the eyes, `across` to the right, `down` to the mouth."""

    origin: Points
    across: Points
    down: Points

    def at(self, points: list[tuple[float, float]]) -> Points:
        """Return the pixels (n, 2) of `points` (across, down)."""
        grid = np.asarray(points, np.float32)
        pixels = self.origin + grid[:, :1] * self.across + grid[:, 1:] * self.down
        return np.asarray(pixels, np.float32)


def _axes(landmarks: Points) -> _Axes:
    eyes, mouth = landmarks[:2], landmarks[3:5]
    down = mouth.mean(axis=0) - eyes.mean(axis=0)
    across = np.array([down[1], -down[0]], np.float32)
    return _Axes(eyes.mean(axis=0), across, down)


def frontal(landmarks: Points) -> bool:
    """Return whether the face is turned to the camera enough for flat shapes to look right."""
    axes = _axes(landmarks)
    length = float(np.linalg.norm(axes.down))
    between = float(np.linalg.norm(landmarks[1] - landmarks[0]))
    turned = abs(float((landmarks[2] - axes.origin) @ axes.across)) / max(length, 1e-6) ** 2
    return length > 2 and between > 0.6 * length and turned < 0.3


def _blend(image: Image, outline: Points, paint: npt.NDArray[np.float32], soft: float) -> Image:
    """Return `image` with `paint` (BGR, float) inside `outline`, the edge softened by `soft` pixels."""
    hard = polygon(image.shape[:2], outline, cv2.LINE_8)
    inside = cv2.GaussianBlur(hard, (0, 0), max(0.4, soft))
    return np.clip(blend(image, paint, inside), 0, 255).astype(np.uint8)


def _cloth(image: Image, axes: _Axes, rng: Generator) -> npt.NDArray[np.float32]:
    """Return float BGR like `image`: cloth of random colour, folds and print, lit like the face."""
    height, width = image.shape[:2]
    plain = rng.random() < 0.75
    colour = np.array(_CLOTH[int(rng.integers(len(_CLOTH)))] if plain else rng.uniform(10, 245, 3))
    paint = np.full((height, width, 3), colour + rng.normal(0, 12, 3), np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    length = float(np.linalg.norm(axes.down))
    along = ((x - axes.origin[0]) * axes.down[0] + (y - axes.origin[1]) * axes.down[1]) / length**2
    if rng.random() < 0.5:
        paint += (rng.uniform(4, 16) * np.sin(along * rng.uniform(12, 26)))[:, :, None]
    if rng.random() < 0.2:
        cells = rng.uniform(-60, 60, (int(rng.integers(4, 12)), int(rng.integers(4, 12)), 3)).astype(
            np.float32
        )
        paint += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    sideways = (
        (x - axes.origin[0]) * axes.across[0] + (y - axes.origin[1]) * axes.across[1]
    ) / length**2
    paint *= (1.08 - rng.uniform(0.1, 0.35) * sideways**2)[:, :, None]
    grey = cv2.GaussianBlur(image.mean(axis=2).astype(np.float32), (0, 0), max(1.0, 0.5 * length))
    lit = np.clip(grey / max(float(grey.mean()), 1.0), 0.4, 1.4)
    level = np.clip(float(grey.mean()) / 130.0, 0.35, 1.15)
    return np.asarray(paint * lit[:, :, None] * level, np.float32)


def paint_mask(image: Image, landmarks: Points, wear: Wear, rng: Generator) -> Image:
    """Return the face (uint8 BGR) with a cloth or surgical mask painted on.

    `wear` is MASKED, UNDER_NOSE or ON_CHIN. The mask is flat, quick to paint and fits faces of any
    size; `lab.scenes.masks.draw_mask` renders folds and shadows, but needs a portrait's outline.
    """
    axes = _axes(landmarks)
    top, side_top, side_low, low = (float(rng.uniform(*span)) for span in _EDGES[wear])
    wide, narrow = float(rng.uniform(0.8, 1.02)), float(rng.uniform(0.5, 0.75))
    if wear is Wear.ON_CHIN:
        wide, narrow = wide * 0.88, narrow * 0.95
    right = [(0.3, top + 0.08), (wide, side_top), (wide * 0.97, side_low), (narrow, low - 0.12)]
    left = [(-x, y) for x, y in reversed(right)]
    outline = axes.at([(0.0, top), *right, (0.0, low), *left])
    shift = (landmarks[2] - axes.at([(0.0, 0.6)])[0]) * 0.5
    if rng.random() < 0.5:
        ear = (
            axes.at([(wide, side_top), (wide + 0.25, 0.3), (-wide, side_top), (-wide - 0.25, 0.3)])
            + shift
        )
        shade = tuple(float(v) for v in rng.uniform(60, 240, 3))
        for a, b in ((0, 1), (2, 3)):
            cv2.line(image := image.copy(), _pixel(ear[a]), _pixel(ear[b]), shade, 1, cv2.LINE_AA)
    soft = 0.02 * float(np.linalg.norm(axes.down))
    return _blend(image, (outline + shift).astype(np.float32), _cloth(image, axes, rng), soft)


def _pixel(point: Points) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _skin(image: Image, landmarks: Points) -> Points:
    """Return the BGR (3,) of the skin beside the nose."""
    x, y = _pixel((landmarks[2] * 2 + landmarks[:2].mean(axis=0)) / 3)
    height, width = image.shape[:2]
    y, x = min(max(y, 1), height - 1), min(max(x, 1), width - 1)
    patch = image[max(0, y - 2) : y + 2, max(0, x - 2) : x + 2]
    return np.asarray(patch.reshape(-1, 3).mean(axis=0), np.float32)


def hand(image: Image, landmarks: Points, rng: Generator) -> Image:
    """Return the face with fingers over its mouth."""
    return _fingers(image, _axes(landmarks), _skin(image, landmarks), rng)


def _fingers(image: Image, axes: _Axes, skin: Points, rng: Generator) -> Image:
    skin = skin * np.float32(rng.uniform(0.8, 1.1))
    tilt, reach = rng.uniform(-0.5, 0.5), rng.uniform(0.55, 0.9)
    start = rng.uniform(-0.4, 0.1)
    for finger in range(int(rng.integers(3, 6))):
        x = start + 0.22 * finger
        tip, root = (x + tilt * 0.4, reach + rng.uniform(-0.06, 0.1)), (x - tilt * 0.6, 2.4)
        wide = 0.125
        outline = axes.at(
            [(tip[0] - wide * 0.7, tip[1]), (tip[0], tip[1] - 0.08), (tip[0] + wide * 0.7, tip[1]),
             (root[0] + wide, root[1]), (root[0] - wide, root[1])]
        )  # fmt: skip
        shade = skin * (1.0 - 0.12 * (finger % 2)) + rng.normal(0, 3, 3)
        paint = np.broadcast_to(shade.astype(np.float32), image.shape)
        image = _blend(
            image, outline, np.asarray(paint, np.float32), 0.04 * float(np.linalg.norm(axes.down))
        )
    return image


def held(image: Image, landmarks: Points, rng: Generator) -> Image:
    """Return the face behind a telephone, a cup or a microphone held to it.

    Unlike a mask it is narrow and tilted, hides one side or the centre only, and often has fingers.
    """
    axes = _axes(landmarks)
    x, y = float(rng.uniform(-0.7, 0.7)), float(rng.uniform(0.8, 1.3))
    wide, high = float(rng.uniform(0.18, 0.36)), float(rng.uniform(0.4, 0.8))
    slant = float(rng.uniform(-0.7, 0.7))
    turn = np.array([[np.cos(slant), np.sin(slant)], [-np.sin(slant), np.cos(slant)]])
    corners = np.array([(-wide, -high), (wide, -high), (wide, high), (-wide, high)]) @ turn
    outline = axes.at([(x + a, y + b) for a, b in corners])
    colour = rng.uniform(5, 70, 3) if rng.random() < 0.6 else rng.uniform(5, 245, 3)
    paint = np.broadcast_to(colour.astype(np.float32), image.shape)
    length = float(np.linalg.norm(axes.down))
    shown = _blend(image, outline, np.asarray(paint, np.float32), 0.02 * length)
    if rng.random() < 0.3:
        return shown
    grip = _Axes(axes.at([(x, 0.25)])[0], axes.across, axes.down)
    return _fingers(shown, grip, _skin(image, landmarks), rng)


def beard(image: Image, landmarks: Points, rng: Generator) -> Image:
    """Return the face with a dark, rough beard around the mouth."""
    axes = _axes(landmarks)
    top = float(rng.uniform(0.75, 0.95))
    right = [
        (0.35, top + 0.02),
        (0.85, rng.uniform(0.5, 0.8)),
        (0.8, 1.35),
        (0.45, rng.uniform(1.6, 1.9)),
    ]
    outline = axes.at(
        [(0.0, top), *right, (0.0, rng.uniform(1.65, 2.0)), *[(-x, y) for x, y in reversed(right)]]
    )
    tone = np.array((38, 45, 58), np.float32) * rng.uniform(0.4, 2.6)
    rough = cv2.GaussianBlur(rng.normal(0, 60, image.shape[:2]).astype(np.float32), (0, 0), 0.7)
    paint = tone + rough[:, :, None]
    opaque = rng.uniform(0.45, 0.9)
    faded = np.asarray(image * (1 - opaque) + paint * opaque, np.float32)
    bearded = _blend(image, outline, faded, 0.1 * float(np.linalg.norm(axes.down)))
    lips = axes.at([(-0.3, 1.0), (0.0, 0.93), (0.3, 1.0), (0.0, 1.1)])
    return _blend(bearded, lips, image.astype(np.float32), 0.04 * float(np.linalg.norm(axes.down)))


def scarf(image: Image, landmarks: Points, rng: Generator) -> Image:
    """Return the face with a scarf or collar below the mouth."""
    axes = _axes(landmarks)
    top = float(rng.uniform(1.35, 1.6))
    outline = axes.at(
        [
            (-1.6, top - 0.3),
            (-0.7, top - 0.05),
            (0, top + 0.1),
            (0.7, top - 0.05),
            (1.6, top - 0.3),
            (1.8, 3.5),
            (-1.8, 3.5),
        ]
    )
    return _blend(image, outline, _cloth(image, axes, rng), 0.03 * float(np.linalg.norm(axes.down)))


def glasses(image: Image, landmarks: Points, rng: Generator) -> Image:
    """Return the face with glasses, dark ones in half of the cases."""
    length = float(np.linalg.norm(_axes(landmarks).down))
    shade = rng.uniform(0, 60, 3)
    tint = rng.uniform(0.6, 0.97) if rng.random() < 0.5 else 0.0
    across, down = max(1, int(0.38 * length)), max(1, int(0.28 * length))
    thick = max(1, int(0.05 * length))
    for eye in landmarks[:2]:
        outline = np.array(cv2.ellipse2Poly(_pixel(eye), (across, down), 0, 0, 360, 20), np.int32)
        lens = np.asarray(image * (1 - tint) + shade.astype(np.float32) * tint, np.float32)
        image = _blend(image, outline.astype(np.float32), lens, 0.02 * length)
        colour = tuple(float(v) for v in shade)
        cv2.polylines(
            image, [outline], isClosed=True, color=colour, thickness=thick, lineType=cv2.LINE_AA
        )
    return image
