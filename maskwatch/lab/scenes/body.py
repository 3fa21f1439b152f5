"""Bodies: clothes, arms and legs as shaded sprites, one for each phase of the walk.

Every part is a soft outline, raised to a height field and lit so that it looks round; folds are
noise in that field. A body is drawn on a canvas of 300 pixels per metre with the base of the
neck at a fixed place.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from maskwatch.lab.arrays import (
    Colour,
    Floats,
    Image,
    Points,
    blend,
    polygon,
    shade,
    sixteenths,
    smooth_noise,
)

SCALE = 300.0
"""Pixels per metre of the canvas."""
CANVAS = (330, 540)
"""Width and height of the canvas in pixels."""
NECK = (165.0, 40.0)
"""Position of the middle of the neck's base on the canvas."""
PHASES = 10
"""Sprites in one cycle of two steps."""


class Garment(StrEnum):
    """What is worn above the trousers."""

    SHIRT = "shirt"
    T_SHIRT = "t_shirt"
    JACKET = "jacket"
    HOODIE = "hoodie"
    COAT = "coat"


class Pose(StrEnum):
    """Which side and which parts of the body a sprite shows."""

    FRONT = "front"
    BACK = "back"
    HANDS_UP = "hands_up"  # without arms: HANDS has them and is drawn over the head
    HANDS = "hands"
    HAND_UP = "hand_up"  # with one arm: HAND has the other and is drawn over the mouth
    HAND = "hand"


@dataclass(frozen=True, slots=True)
class Outfit:
    """Clothes, build and skin of one person; colours BGR."""

    garment: Garment
    top: Colour
    inner: Colour
    trousers: Colour
    shoes: Colour
    skin: Colour
    height: float = 1.72
    breadth: float = 1.0
    seed: int = 0


_TOPS: tuple[Colour, ...] = (
    (62, 48, 42), (38, 38, 40), (112, 108, 104), (136, 168, 186), (74, 98, 88),
    (206, 208, 210), (58, 56, 128), (128, 86, 52), (96, 66, 40), (150, 120, 120),
    (70, 110, 150), (180, 160, 120),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = (
    (92, 66, 48), (40, 38, 38), (88, 86, 84), (108, 136, 152), (62, 44, 34)
)  # fmt: skip


def random_outfit(rng: np.random.Generator, skin: Colour, height: float) -> Outfit:
    """Return clothes drawn from `rng` for a person of this skin colour and height (metres)."""

    def pick(colours: tuple[Colour, ...]) -> Colour:
        b, g, r = np.clip(
            np.asarray(colours[int(rng.integers(len(colours)))]) * rng.uniform(0.85, 1.15), 12, 240
        )
        return float(b), float(g), float(r)

    return Outfit(
        garment=list(Garment)[int(rng.integers(len(Garment)))],
        top=pick(_TOPS),
        inner=pick(((214, 214, 212), (60, 54, 52), (150, 140, 130), (200, 190, 170))),
        trousers=pick(_TROUSERS),
        shoes=pick(((34, 34, 36), (60, 80, 100), (190, 192, 194))),
        skin=skin,
        height=height,
        breadth=float(rng.uniform(0.93, 1.1)),
        seed=int(rng.integers(2**31)),
    )


class Body:
    """The sprites of one person's body, drawn on first use."""

    def __init__(self, outfit: Outfit) -> None:
        self.outfit = outfit
        rng = np.random.default_rng(outfit.seed)
        self._folds = 0.7 * smooth_noise(rng, CANVAS, 9) + 2.2 * smooth_noise(rng, CANVAS, 26)
        self._weave = 1 + 0.015 * rng.standard_normal(CANVAS[::-1]).astype(np.float32)
        self.sprite = functools.lru_cache(maxsize=None)(self._sprite)

    def _sprite(self, phase: int, pose: Pose = Pose.FRONT) -> Image:
        """Return premultiplied BGRA, uint8 (540, 330, 4), for a phase of the walk."""
        swing = math.sin(2 * math.pi * phase / PHASES)
        lift = math.cos(2 * math.pi * phase / PHASES)
        canvas = _Canvas(self._folds, self._weave)
        if pose in (Pose.HANDS, Pose.HAND):
            self._raised_arms(canvas, pose)
            return canvas.premultiplied()
        self._legs(canvas, swing, lift)
        if pose is not Pose.HANDS_UP:
            self._arms(canvas, swing, (-1,) if pose is Pose.HAND_UP else (-1, 1))
        self._torso(canvas, pose)
        return canvas.premultiplied()

    def _legs(self, canvas: _Canvas, swing: float, lift: float) -> None:
        o = self.outfit
        length = 0.47 * o.height
        hip_y = o.height * 0.84 - length
        # The rear leg first, so that the front one covers it.
        for side in sorted((-1, 1), key=lambda s: s * swing):
            ahead, up = side * swing, max(0.0, side * lift) * 0.06
            x = 0.085 * side * o.breadth
            foot_y = o.height * 0.84 - 0.03 + 0.025 * ahead - up
            knee = (x * 1.02, hip_y + 0.5 * length - 0.6 * up)
            dark = 1.0 if ahead >= 0 else 0.86
            thigh = canvas.limb((x, hip_y - 0.02), knee, 0.088 * o.breadth, 0.062)
            shin = canvas.limb(knee, (x * 0.98, foot_y - 0.05), 0.062, 0.05)
            shoe = canvas.limb((x, foot_y - 0.03), (x * 1.15, foot_y + 0.02), 0.042, 0.05)
            canvas.lay(shoe, o.shoes, dark, relief=0.8)
            canvas.lay(np.maximum(thigh, shin), o.trousers, dark)

    def _arms(self, canvas: _Canvas, swing: float, sides: tuple[int, ...]) -> None:
        o = self.outfit
        for side in sides:
            ahead = -side * swing
            shoulder = (side * 0.185 * o.breadth, 0.075)
            elbow = (side * (0.235 - 0.01 * ahead) * o.breadth, 0.34 - 0.015 * abs(ahead))
            wrist = (side * (0.24 - 0.05 * max(0.0, ahead)), 0.575 - 0.06 * max(0.0, ahead))
            hand = (wrist[0] - side * 0.008, wrist[1] + 0.065)
            self._arm(canvas, shoulder, elbow, wrist, hand)

    def _raised_arms(self, canvas: _Canvas, pose: Pose) -> None:
        """Draw both hands at the sides of the face, or one in front of the mouth."""
        o = self.outfit
        if pose is Pose.HAND:
            shoulder, elbow = (0.185 * o.breadth, 0.075), (0.25 * o.breadth, 0.25)
            self._arm(canvas, shoulder, elbow, (0.075, -0.02), (-0.02, -0.085))
            return
        for side in (-1, 1):
            shoulder = (side * 0.185 * o.breadth, 0.075)
            elbow = (side * 0.26 * o.breadth, 0.27)
            self._arm(canvas, shoulder, elbow, (side * 0.125, 0.03), (side * 0.092, -0.05))

    def _arm(self, canvas: _Canvas, shoulder: Spot, elbow: Spot, wrist: Spot, hand: Spot) -> None:
        o = self.outfit
        bare = o.garment is Garment.T_SHIRT
        canvas.lay(canvas.limb(wrist, hand, 0.032, 0.036), o.skin, 0.95, relief=0.8)
        fore = canvas.limb(elbow, wrist, 0.046, 0.032 if bare else 0.038)
        upper = canvas.limb(shoulder, elbow, 0.068, 0.05)
        if bare:
            canvas.lay(fore, o.skin, 0.96)
            canvas.lay(upper, o.top, 0.98)
        else:
            canvas.lay(np.maximum(fore, upper), o.top, 0.97)

    def _torso(self, canvas: _Canvas, pose: Pose) -> None:
        o = self.outfit
        hem = {Garment.COAT: 0.86, Garment.JACKET: 0.62, Garment.HOODIE: 0.6}.get(o.garment, 0.58)
        if o.garment is Garment.HOODIE:
            canvas.lay(canvas.ellipse((0, -0.01), (0.15, 0.07)), o.top, 0.85)
        canvas.lay(canvas.limb((0, -0.12), (0, 0.03), 0.049, 0.058), o.skin, 0.78, relief=0.7)
        outline = [
            (0.06, -0.045), (0.11, -0.012), (0.175, 0.022), (0.213, 0.08), (0.205, 0.2),
            (0.182, 0.36), (0.178, 0.45), (0.192, hem - 0.05), (0.188, hem),
        ]  # fmt: skip
        torso = canvas.mirrored([(x * o.breadth, y) for x, y in outline], neck=0.02)
        canvas.lay(torso, o.top, 1.0)
        if pose is not Pose.BACK:
            self._front(canvas, torso, hem)

    def _front(self, canvas: _Canvas, torso: Floats, hem: float) -> None:
        o = self.outfit
        if o.garment in (Garment.JACKET, Garment.COAT):
            opening = canvas.polygon([(-0.055, -0.05), (0.055, -0.05), (0.012, 0.36), (-0.012, 0.36)])
            canvas.lay(opening * torso, o.inner, 0.95, relief=0.5)
            throat = canvas.polygon([(-0.045, -0.06), (0.045, -0.06), (0, 0.06)])
            canvas.lay(throat, o.skin, 0.86, relief=0.5)
            canvas.crease([(-0.058, -0.05), (-0.014, 0.36), (-0.014, hem)], 0.5)
            canvas.crease([(0.058, -0.05), (0.014, 0.36), (0.02, hem)], 0.6)
        elif o.garment is Garment.SHIRT:
            for side in (-1, 1):
                collar = [(side * 0.07, -0.055), (side * 0.012, 0.03), (side * 0.06, 0.055)]
                canvas.lay(canvas.polygon(collar), o.top, 1.1, relief=1.4)
            canvas.crease([(0.006, 0.02), (0.006, hem)], 0.45)
        elif o.garment is Garment.HOODIE:
            canvas.crease([(-0.1, 0.55), (-0.07, 0.4), (0.07, 0.4), (0.1, 0.55)], 0.45)
            canvas.crease([(-0.06, -0.02), (0, 0.06), (0.06, -0.02)], 0.5)
        else:
            throat = canvas.ellipse((0, -0.03), (0.056, 0.04))
            canvas.lay(throat, o.skin, 0.88, relief=0.5)


Spot = tuple[float, float]


class _Canvas:
    """Parts drawn over each other, in metres from the neck's base (y down)."""

    def __init__(self, folds: Floats, weave: Floats) -> None:
        self._folds, self._weave = folds, weave
        self._bgr = np.zeros((*CANVAS[::-1], 3), np.float32)
        self._alpha = np.zeros(CANVAS[::-1], np.float32)

    def _pixels(self, spots: list[Spot]) -> Points:
        return np.asarray(spots, np.float32) * SCALE + np.asarray(NECK, np.float32)

    def polygon(self, spots: list[Spot]) -> Floats:
        """Return the matte of a polygon."""
        return polygon(CANVAS[::-1], self._pixels(spots))

    def mirrored(self, right: list[Spot], neck: float) -> Floats:
        """Return the matte of an outline from its right half, from the neck downward."""
        left = [(-x, y) for x, y in reversed(right)]
        matte = self.polygon([*right, *left, (0.0, neck)])
        return cv2.GaussianBlur(matte, (0, 0), 1.6)

    def limb(self, start: Spot, end: Spot, first: float, last: float) -> Floats:
        """Return the matte of a tapered limb with round ends of radii `first` and `last`."""
        along = np.linspace(0, 2 * np.pi, 14)
        circle = np.stack([np.cos(along), np.sin(along)], 1)
        rings = np.concatenate([circle * first + start, circle * last + end]).astype(np.float32)
        hull = cv2.convexHull(rings)[:, 0]
        return self.polygon([(float(x), float(y)) for x, y in hull])

    def ellipse(self, centre: Spot, radii: Spot) -> Floats:
        """Return the matte of an ellipse."""
        along = np.linspace(0, 2 * np.pi, 24)
        return self.polygon(
            [(centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in along]
        )

    def lay(self, matte: Floats, colour: Colour, bright: float, relief: float = 1.0) -> None:
        """Draw a part over the others, lit from above."""
        ys, xs = np.nonzero(matte > 0.01)
        if not len(xs):
            return
        y1, y2 = max(0, int(ys.min()) - 12), int(ys.max()) + 12
        x1, x2 = max(0, int(xs.min()) - 12), int(xs.max()) + 12
        area = (slice(y1, y2), slice(x1, x2))
        part = matte[area]
        swell = cv2.GaussianBlur(part, (0, 0), 7) * 34 + cv2.GaussianBlur(part, (0, 0), 2) * 5
        light = shade(relief * (swell + 0.55 * self._folds[area]), (-0.25, -0.75, 1.0), 1.0)
        lit = (
            np.asarray(colour, np.float32)
            * (bright * (0.34 + 0.82 * light) * self._weave[area])[..., None]
        )
        seam = 1 - 0.35 * cv2.GaussianBlur(part, (0, 0), 3)[..., None] * (part[..., None] < 0.5)
        self._bgr[area] = blend(self._bgr[area] * seam, lit, part)
        self._alpha[area] = np.maximum(self._alpha[area], part)

    def crease(self, spots: list[Spot], depth: float) -> None:
        """Draw a dark line, such as the edge of a jacket."""
        line = np.zeros(CANVAS[::-1], np.float32)
        points = [sixteenths(self._pixels(spots))]
        cv2.polylines(
            line, points, isClosed=False, color=1.0, thickness=2, lineType=cv2.LINE_AA, shift=4
        )
        self._bgr *= 1 - depth * cv2.GaussianBlur(line, (0, 0), 1.1)[..., None]

    def premultiplied(self) -> Image:
        """Return premultiplied BGRA, uint8."""
        alpha = cv2.GaussianBlur(self._alpha, (0, 0), 0.7)[..., None]
        whole = np.concatenate([np.clip(self._bgr, 0, 255) * alpha, alpha * 255], axis=2)
        result: Image = np.round(whole).astype(np.uint8)
        return result
