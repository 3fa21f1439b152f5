"""Masks: their styles, and how one is drawn on a head by its landmarks.

A mask is a height field over the face, lit like the face and folded like cloth, so that it is
shaded like a real one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from maskwatch.lab.arrays import Colour, Floats, Image, Points, blend, polygon, shade, smooth_noise
from maskwatch.lab.scenes.portraits import CANVAS, Head
from maskwatch.lab.truth import Wear


class MaskStyle(StrEnum):
    """The masks that people wear."""

    SURGICAL_BLUE = "surgical_blue"
    SURGICAL_WHITE = "surgical_white"
    SURGICAL_BLACK = "surgical_black"
    FFP2_WHITE = "ffp2_white"
    FFP2_BLACK = "ffp2_black"
    CLOTH_BLACK = "cloth_black"
    CLOTH_GREY = "cloth_grey"
    CLOTH_NAVY = "cloth_navy"
    CLOTH_RED = "cloth_red"
    DOTTED = "dotted"
    CHECKED = "checked"
    STRIPED = "striped"


_COLOURS: dict[MaskStyle, Colour] = {
    MaskStyle.SURGICAL_BLUE: (208, 192, 152),
    MaskStyle.SURGICAL_WHITE: (226, 228, 226),
    MaskStyle.SURGICAL_BLACK: (42, 40, 40),
    MaskStyle.FFP2_WHITE: (232, 234, 236),
    MaskStyle.FFP2_BLACK: (38, 37, 38),
    MaskStyle.CLOTH_BLACK: (34, 32, 32),
    MaskStyle.CLOTH_GREY: (128, 124, 120),
    MaskStyle.CLOTH_NAVY: (84, 50, 36),
    MaskStyle.CLOTH_RED: (52, 44, 148),
    MaskStyle.DOTTED: (120, 70, 50),
    MaskStyle.CHECKED: (170, 170, 176),
    MaskStyle.STRIPED: (206, 210, 214),
}
_SHARES: dict[MaskStyle, float] = {
    MaskStyle.SURGICAL_BLUE: 6,
    MaskStyle.SURGICAL_WHITE: 3,
    MaskStyle.SURGICAL_BLACK: 2,
    MaskStyle.FFP2_WHITE: 4,
    MaskStyle.FFP2_BLACK: 1.5,
    MaskStyle.CLOTH_BLACK: 3,
    MaskStyle.CLOTH_GREY: 2,
    MaskStyle.CLOTH_NAVY: 1.5,
    MaskStyle.CLOTH_RED: 1,
    MaskStyle.DOTTED: 1,
    MaskStyle.CHECKED: 1,
    MaskStyle.STRIPED: 1,
}


def random_style(rng: np.random.Generator) -> MaskStyle:
    """Return a style with about its frequency in the street."""
    styles, shares = list(_SHARES), np.array(list(_SHARES.values()))
    return styles[int(rng.choice(len(styles), p=shares / shares.sum()))]


_SIZE = CANVAS[::-1]
DROP = {Wear.MASKED: 0.0, Wear.UNDER_NOSE: 1.0, Wear.ON_CHIN: 2.0}
"""How far a mask has been pulled down: 0 on the nose, 2 on the chin."""


@dataclass(frozen=True, slots=True)
class _Face:
    """Measures of a face that shape a mask, in pixels of the canvas."""

    bridge: Points  # where the upper edge crosses the nose
    nose: Points
    mouth: Points
    chin: Points
    left: float  # the face's sides at the height of the nose
    right: float
    ears: float  # height of the ears' middle

    @property
    def cx(self) -> float:
        return float(self.nose[0] + self.chin[0]) / 2


def _measure(head: Head) -> _Face:
    eyes, nose = head.landmarks[:2].mean(axis=0), head.landmarks[2]
    mouth = head.landmarks[3:].mean(axis=0)
    x1, _, x2, y2 = head.box
    axis = mouth - eyes
    chin = mouth + axis * 0.8
    chin[1] = (chin[1] + y2) / 2
    return _Face(
        bridge=eyes + (nose - eyes) * 0.42,
        nose=nose,
        mouth=mouth,
        chin=chin,
        left=x1 + 0.015 * (x2 - x1),
        right=x2 - 0.015 * (x2 - x1),
        ears=float(eyes[1] + 0.35 * axis[1]),
    )


def draw_mask(
    head: Head, style: MaskStyle, wear: Wear, rng: np.random.Generator, drop: float = 0.0
) -> tuple[Image, Floats]:
    """Return the head wearing a mask: uint8 BGR and float32 matte on the head's canvas.

    `wear` is MASKED, UNDER_NOSE or ON_CHIN.
    `drop` from 0 to 2 pulls the mask further down (1: under the nose, 2: on the chin), for
    putting it on or off. The same `rng` state draws the same mask.
    """
    face = _measure(head)
    drop = min(2.0, DROP[wear] + drop)
    outline = _outline(face, style, drop, float(rng.uniform(-1, 1)))
    cover = polygon(_SIZE, outline)
    cloth = _cloth(style, face, cover, rng) * _light(head, face, cover, style, rng)[..., None]
    picture = head.bgr.astype(np.float32)
    picture = _shadow(picture, cover)
    picture = _straps(picture, face, outline, style)
    edge = cv2.GaussianBlur(cover, (0, 0), 0.9)
    picture = blend(picture, np.clip(cloth, 0, 255), edge)
    alpha = np.maximum(head.alpha, edge * (cv2.GaussianBlur(head.alpha, (0, 0), 6) > 0.05))
    return np.clip(picture, 0, 255).astype(np.uint8), alpha.astype(np.float32)


def _outline(face: _Face, style: MaskStyle, drop: float, slant: float) -> Points:
    """Return the mask's edge as a closed smooth curve (N, 2)."""
    pointed = style in (MaskStyle.FFP2_WHITE, MaskStyle.FFP2_BLACK)
    below = 5.0 if drop < 1 else 8.0
    top = _upper_edge(face, drop)
    depth = float(face.chin[1]) + below + 5.0 * max(0.0, drop - 1) - top
    side_top = top + (0.2 if pointed else 0.12) * depth + 2.0 * slant
    side_low = top + (0.66 if pointed else 0.7) * depth
    inset = (0.06 if pointed else 0.025) + 0.07 * max(0.0, drop - 1)
    inset *= face.right - face.left
    left, right = face.left + inset, face.right - inset
    narrow = 0.16 * (face.right - face.left) * (1 + 0.5 * max(0.0, drop - 1))
    cx, bx = float(face.chin[0]), float(face.bridge[0])
    wide = 0.24 * (right - left)
    knots = [
        (left, side_top),
        (bx - wide, top + 0.055 * depth),
        (bx, top),
        (bx + wide, top + 0.055 * depth),
        (right, side_top),
        (right - 0.012 * depth, (side_top + side_low) / 2),
        (right - narrow * 0.55, side_low),
        (cx + narrow * 1.25, top + 0.93 * depth),
        (cx, top + depth),
        (cx - narrow * 1.25, top + 0.93 * depth),
        (left + narrow * 0.55, side_low),
        (left + 0.012 * depth, (side_top + side_low) / 2),
    ]
    return _smooth(np.array(knots, np.float32))


def _upper_edge(face: _Face, drop: float) -> float:
    """Return the height of the upper edge: on the bridge, under the nose, or under the lip."""
    lip = float(face.nose[1] + 0.42 * (face.mouth[1] - face.nose[1]))
    chin = float(face.mouth[1] + 0.36 * (face.chin[1] - face.mouth[1]))
    return float(np.interp(drop, (0, 1, 2), (float(face.bridge[1]), lip, chin)))


def _smooth(knots: Points, steps: int = 8) -> Points:
    """Return a closed Catmull-Rom curve through `knots`, slightly tightened at the corners."""
    before, after = np.roll(knots, 1, 0), np.roll(knots, -1, 0)
    slope = 0.36 * (after - before)
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[None, :, None]
    start, end = knots[:, None], after[:, None]
    leaving, arriving = slope[:, None], np.roll(slope, -1, 0)[:, None]
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * start
        + (t**3 - 2 * t**2 + t) * leaving
        + (-2 * t**3 + 3 * t**2) * end
        + (t**3 - t**2) * arriving
    )
    result: Points = curve.reshape(-1, 2).astype(np.float32)
    return result


def _grid() -> tuple[Floats, Floats]:
    y, x = np.mgrid[: _SIZE[0], : _SIZE[1]].astype(np.float32)
    return x, y


def _light(head: Head, face: _Face, cover: Floats, style: MaskStyle, rng: np.random.Generator) -> Floats:
    """Return the brightness of the cloth: its bulge, folds and weave under the portrait's light."""
    x, y = _grid()
    width = face.right - face.left
    bulge = cv2.GaussianBlur(cover, (0, 0), 11) * 16
    ridge = 15 * np.exp(-(((x - face.cx) / (0.13 * width)) ** 2))
    ridge *= np.exp(-(np.clip((y - float(face.nose[1]) - 6) / 30, 0, None) ** 2))
    height = bulge + _round(x, face, width) + ridge + _folds(style, face, x, y, rng)
    height += 0.35 * smooth_noise(rng, CANVAS, 14) + 0.7 * smooth_noise(rng, CANVAS, 38)
    level, side = _portrait_light(head, face)
    light = shade(cv2.GaussianBlur(height, (0, 0), 1.0), (side, -0.55, 1.0), 1.0)
    weave = 1 + 0.012 * rng.standard_normal(_SIZE).astype(np.float32)
    rim = 0.86 + 0.14 * cv2.GaussianBlur(cover, (0, 0), 2.5) ** 2
    result: Floats = (level * (0.42 + 0.64 * light) * weave * rim).astype(np.float32)
    return result


def _round(x: Floats, face: _Face, width: float) -> Floats:
    """Return the roundness of the face across, in pixels of height."""
    u = np.clip((x - face.cx) / (0.56 * width), -0.98, 0.98)
    result: Floats = (0.30 * width * np.sqrt(1 - u * u)).astype(np.float32)
    return result


def _folds(style: MaskStyle, face: _Face, x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """Return what the make adds: pleats of a surgical mask, the seam of the folded ones."""
    top, low = float(face.bridge[1]), float(face.chin[1])
    sag = 5 * (1 - ((x - face.cx) / 48) ** 2)
    if style.value.startswith("surgical"):
        phase = (y - sag - top) / (low - top) * 4.2 + float(rng.uniform(-0.1, 0.1))
        pleat = np.clip((phase % 1.0) * 1.25, 0, 1)
        inner = (phase > 0.75) & (phase < 3.8)
        result: Floats = (2.6 * pleat * inner).astype(np.float32)
        return result
    seam = -2.2 * np.exp(-(((x - face.cx) / 1.8) ** 2))
    tent = 10 * np.exp(-np.abs(x - face.cx) / 24)
    if style.value.startswith("ffp2"):
        emboss = 0.5 * np.sin(x * 0.9) * (np.abs(y - low + 14) < 3)
        return (seam + 1.6 * tent + emboss).astype(np.float32)
    wrinkle = 1.1 * np.sin((y + 0.35 * np.abs(x - face.cx)) / 4.6 + 2 * smooth_noise(rng, CANVAS, 60))
    edges = np.clip(np.abs(x - face.cx) / 40 - 0.55, 0, 0.5)
    cloth: Floats = 0.5 * seam + 0.7 * tent + wrinkle * edges * 1.6
    return cloth.astype(np.float32)


def _portrait_light(head: Head, face: _Face) -> tuple[float, float]:
    """Return how bright the portrait's light is (about 1) and from which side it comes."""
    grey = cv2.cvtColor(head.bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
    row = slice(int(face.nose[1]) - 14, int(face.nose[1]) + 6)
    span = int(0.30 * (face.right - face.left))
    cx = int(face.nose[0])
    left, right = grey[row, cx - span : cx - 8].mean(), grey[row, cx + 8 : cx + span].mean()
    side = float(np.clip(1.6 * (right - left) / (right + left + 1e-3), -0.7, 0.7))
    level = float(np.clip(((left + right) / 2 / 150) ** 0.45, 0.62, 1.1))
    return level, side


def _cloth(style: MaskStyle, face: _Face, cover: Floats, rng: np.random.Generator) -> Floats:
    """Return the unlit cloth: its colour, print and stains, BGR floats."""
    x, y = _grid()
    colour = np.asarray(_COLOURS[style], np.float32) * float(rng.uniform(0.93, 1.05))
    cloth = np.broadcast_to(colour, (*_SIZE, 3)).astype(np.float32)
    u, v = x - face.cx, y - float(face.mouth[1])
    ink = _print(style, u, v)
    if ink is not None:
        colours = ((228, 226, 222), (60, 52, 150), (96, 62, 38), (70, 110, 60))
        cloth = blend(cloth, colours[int(rng.integers(len(colours)))], ink)
    hem = cv2.erode(cover, np.ones((7, 7))) < 0.5
    seam = cv2.GaussianBlur(hem.astype(np.float32), (0, 0), 0.8) * 0.07
    return cloth * (1 - seam[..., None])


def _print(style: MaskStyle, u: Floats, v: Floats) -> Floats | None:
    """Return the matte of the printed pattern, wrapped around the face, or None."""
    u = np.arcsin(np.clip(u / 78, -0.99, 0.99)) * 60
    if style is MaskStyle.DOTTED:
        shift = (np.floor(v / 14) % 2) * 8
        near = np.hypot((u + shift) % 16 - 8, v % 14 - 7)
        dots: Floats = np.clip(4.6 - near, 0, 1).astype(np.float32)
        return dots
    if style is MaskStyle.CHECKED:
        lines = 0.45 * ((u % 22) < 9) + 0.45 * ((v % 22) < 9)
        return cv2.GaussianBlur(lines.astype(np.float32), (0, 0), 0.8)
    if style is MaskStyle.STRIPED:
        return 0.7 * cv2.GaussianBlur(((v + 0.2 * u) % 17 < 6).astype(np.float32), (0, 0), 0.9)
    return None


def _shadow(picture: Floats, cover: Floats) -> Floats:
    """Return the picture with the soft shadow that a mask casts on skin beside and below it."""
    moved = cv2.warpAffine(cover, np.array([[1, 0, 0], [0, 1, 5]], np.float32), CANVAS)
    dark = 0.34 * cv2.GaussianBlur(moved, (0, 0), 4) + 0.25 * cv2.GaussianBlur(cover, (0, 0), 1.8)
    result: Floats = picture * (1 - np.clip(dark, 0, 0.5)[..., None])
    return result


def _straps(picture: Floats, face: _Face, outline: Points, style: MaskStyle) -> Floats:
    """Return the picture with the loops from the mask's corners to the ears."""
    dark = sum(_COLOURS[style]) < 330
    colour = (50, 48, 48) if dark else (226, 228, 230)
    steps = len(outline) // 12
    loops = np.zeros(_SIZE, np.float32)
    width = face.right - face.left
    for upper, lower, ear_x in (
        (outline[0], outline[10 * steps], face.left - 0.05 * width),
        (outline[4 * steps], outline[6 * steps], face.right + 0.05 * width),
    ):
        for corner, ear_y in ((upper, face.ears - 10), (lower, face.ears + 22)):
            ends = [
                tuple(np.round(np.array(p) * 16).astype(int).tolist()) for p in (corner, (ear_x, ear_y))
            ]
            cv2.line(loops, ends[0], ends[1], 1.0, 3, cv2.LINE_AA, shift=4)
    under = cv2.GaussianBlur(
        cv2.warpAffine(loops, np.array([[1, 0, 0], [0, 1, 3]], np.float32), CANVAS), (0, 0), 1.6
    )
    picture = picture * (1 - 0.45 * np.clip(under, 0, 1)[..., None])
    return blend(picture, colour, 0.92 * cv2.GaussianBlur(loops, (0, 0), 0.6))
