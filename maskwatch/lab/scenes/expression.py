"""Faces that blink and speak: eyelids and mouth of a head, and when they move."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from maskwatch.lab.arrays import Floats, Image, smoothstep
from maskwatch.lab.scenes.portraits import Head

# Millimetres, which are pixels of a head's canvas.
_EYE_WIDTH, _LID_TOP, _LID_EDGE, _EYE_BOTTOM = 15.0, -13.0, -6.0, 6.0
_MOUTH_OPEN, _JAW = 11.0, 46.0
_INSIDE = (38.0, 30.0, 70.0)  # BGR of an open mouth
_BLINK_S = 0.24
_BLINK_PAUSE_S = 1.5, 5.0
_SPELL_S = 1.2, 3.5
_SYLLABLES = 3.6  # a second
STEPS = 2
"""Steps, with a sprite each, from open to closed eyes, and from a closed to an open mouth."""


class Expression(NamedTuple):
    """How far the eyes are closed and the mouth is open, 0 to STEPS."""

    eyes: int = 0
    mouth: int = 0


NEUTRAL = Expression()


class ExpressionSchedule:
    """When one person blinks and speaks, drawn from `rng`; speaking and pausing alternate."""

    def __init__(self, seconds: float, rng: np.random.Generator, *, talks: bool) -> None:
        self._blinks = _times(seconds, _BLINK_PAUSE_S, rng)
        self._spells = _times(seconds, _SPELL_S, rng) if talks else []
        self._phase = float(rng.uniform(0, 2 * math.pi))

    def at(self, seconds: float) -> Expression:
        """Return the expression at a time."""
        blink = max(
            (1 - abs(2 * (seconds - begun) / _BLINK_S - 1) for begun in self._blinks), default=0.0
        )
        eyes = round(STEPS * min(1.0, max(0.0, 1.6 * blink)))
        speaks = sum(begun <= seconds for begun in self._spells) % 2 == 1
        swing = 0.5 + 0.5 * math.sin(2 * math.pi * _SYLLABLES * seconds + self._phase)
        swing *= 0.6 + 0.4 * math.sin(2 * math.pi * 0.9 * seconds)
        return Expression(eyes, round(STEPS * max(0.0, swing)) if speaks else 0)


def _times(seconds: float, pause: tuple[float, float], rng: np.random.Generator) -> list[float]:
    found = [float(rng.uniform(0, pause[1]))]
    while found[-1] < seconds:
        found.append(found[-1] + float(rng.uniform(*pause)))
    return found


def with_expression(head: Head, expression: Expression) -> Head:
    """Return the head with this expression."""
    if expression == NEUTRAL:
        return head
    picture = head.bgr
    if expression.mouth:
        picture = _with_open_mouth(picture, head, expression.mouth / STEPS)
    for eye in head.landmarks[:2] if expression.eyes else ():
        picture = _with_lid(picture, (float(eye[0]), float(eye[1])), expression.eyes / STEPS)
    return replace(head, bgr=picture)


def _with_lid(picture: Image, eye: tuple[float, float], closed: float) -> Image:
    """Pull the skin above an eye down over it."""
    x, y = _grid(picture)
    across, down = (x - eye[0]) / _EYE_WIDTH, y - eye[1]
    edge = _LID_EDGE + closed * (_EYE_BOTTOM - _LID_EDGE)
    stretched = _LID_TOP + (down - _LID_TOP) * (_LID_EDGE - _LID_TOP) / (edge - _LID_TOP)
    pulled = _remapped(picture, x, eye[1] + stretched)
    lash = np.exp(-(((down - edge) / 1.3) ** 2))[..., None] * 0.55
    pulled = pulled * (1 - lash)
    inside = (
        smoothstep(np.abs(across), 1.25, 0.85) * (down > _LID_TOP) * smoothstep(down - edge, 1.5, 0.0)
    )
    return _blended(picture, pulled, inside)


def _with_open_mouth(picture: Image, head: Head, opened: float) -> Image:
    """Move the jaw down, and darken what opens above it."""
    left, right = head.landmarks[3:5]
    (cx, cy), half = (left + right) / 2, max(8.0, 0.5 * abs(float(right[0] - left[0])))
    x, y = _grid(picture)
    gap = opened * _MOUTH_OPEN * np.clip(1 - ((x - cx) / (1.6 * half)) ** 2, 0, 1)
    below = y - cy
    moved = np.clip(1 - (below - gap) / _JAW, 0, 1) * gap
    jaw = _remapped(picture, x, np.where(below > gap, y - moved, np.minimum(y, cy)))
    open_gap = opened * _MOUTH_OPEN * np.clip(1 - ((x - cx) / (0.8 * half)) ** 2, 0, 1)
    dark = smoothstep(below, -0.5, 1.0) * smoothstep(below - open_gap, 0.5, -1.0) * (open_gap > 0.5)
    jaw = jaw + dark[..., None] * (np.asarray(_INSIDE) - jaw)
    return _blended(picture, jaw, (below > 0).astype(np.float32))


def _grid(picture: Image) -> tuple[Floats, Floats]:
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    return x, y


def _remapped(picture: Image, x: Floats, y: Floats) -> Floats:
    moved = cv2.remap(
        picture, x, y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return moved.astype(np.float32)


def _blended(picture: Image, over: Floats, share: Floats) -> Image:
    mixed: Image = np.clip(picture + (over - picture) * share[..., None], 0, 255).astype(np.uint8)
    return mixed
