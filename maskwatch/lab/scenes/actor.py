"""One person of a scene: their sprites, and their position and posture at every moment."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from maskwatch.lab.arrays import Floats, Image
from maskwatch.lab.scenes.body import PHASES, Body, Outfit, random_outfit
from maskwatch.lab.scenes.expression import NEUTRAL, Expression, ExpressionSchedule, with_expression
from maskwatch.lab.scenes.masks import DROP, draw_mask, random_style
from maskwatch.lab.scenes.portraits import Head, back_of
from maskwatch.lab.scenes.scene import Figure
from maskwatch.lab.truth import Wear

CHANGE_TIME = 0.9
"""Seconds that putting a mask on or taking it off takes."""
_COUGH_TIME = 1.4
"""Seconds that a hand covers the mouth."""
_SAMPLE_RATE = 50
"""Samples of the path per second."""
_STRIDE = 1.35
"""Metres walked in one cycle of two steps."""
_STILL_GAIN = 0.3
"""Share of a walker's sway and glances in those who hold still."""
_BREATHS, _BREATH_M = 0.26, 0.003
"""Breaths per second, and how far they raise the head."""
_DROP_STEPS = 6
"""Steps, with a sprite each, from a mask on the nose to one on the chin."""


@dataclass(frozen=True, slots=True)
class ActorState:
    """Position and posture of a person at one moment.

    Attributes:
        x, z: metres.
        eyes: height of the eyes, metres.
        heading: degrees between the body and the direction to the camera.
        yaw, pitch, roll: of the head, degrees from the camera.
        phase: sprite of the walk.
        mask: how the mask is worn, for the ground truth.
        coughing: whether a hand hides the mouth.
        sprite: key of the head's sprite: -1 bare, otherwise the mask's drop in steps.
        expression: of the face.
        speed: metres per second to the right and towards the camera.
    """

    x: float
    z: float
    eyes: float
    heading: float
    yaw: float
    pitch: float
    roll: float
    phase: int
    mask: Wear
    sprite: int
    expression: Expression
    coughing: bool
    speed: tuple[float, float]


class Actor:
    """A figure with face, clothes and gait drawn from `rng`."""

    def __init__(self, figure: Figure, head: Head, rng: np.random.Generator) -> None:
        self.figure = figure
        self.head = _varied(head, rng)
        height = float(np.clip(rng.normal(1.71, 0.075), 1.54, 1.9))
        self.outfit: Outfit = random_outfit(rng, self.head.skin, height)
        self.body = Body(self.outfit)
        random = random_style(rng)  # always drawn, so that the other choices do not depend on it
        self.style = figure.style or random
        self._mask_seed = int(rng.integers(2**31))
        self._gait = rng.uniform(0, 2 * math.pi, 8)
        self._motion_gain = float(rng.uniform(0.8, 1.25)) if figure.alive else 0.0
        self._breath = 0.0
        self._expressions: ExpressionSchedule | None = None
        if figure.holds_still or figure.talks:
            self._motion_gain *= _STILL_GAIN if figure.holds_still else 1.0
            self._breath = _BREATH_M
            own = np.random.default_rng(
                self._mask_seed
            )  # the draws of other figures do not depend on it
            seconds = figure.path[-1].at
            self._expressions = ExpressionSchedule(seconds, own, talks=figure.talks)
        self.size = float(rng.uniform(0.98, 1.08))
        self._sample_path()
        self.sprite = functools.lru_cache(maxsize=None)(self._sprite)
        self.body_sprite = functools.lru_cache(maxsize=None)(
            lambda phase, pose, level: _halved(self.body.sprite(phase, pose), level)
        )

    @property
    def neck(self) -> float:
        """Height of the neck's base, metres."""
        return 0.84 * self.outfit.height

    @property
    def wears_mask(self) -> bool:
        """Whether this person wears a mask at any time."""
        return self.figure.wear is not Wear.BARE or bool(self.figure.changes)

    def present(self, at: float) -> bool:
        """Return whether the person is in the scene at `at` seconds."""
        return self.figure.path[0].at <= at <= self.figure.path[-1].at

    def _sample_path(self) -> None:
        """Sample the smoothed path, its speed, and the distance walked at each sample."""
        steps = self.figure.path
        self._start = steps[0].at
        times = np.arange(self._start, steps[-1].at + 2 / _SAMPLE_RATE, 1 / _SAMPLE_RATE)
        knots = [step.at for step in steps]
        smooth = np.exp(-0.5 * (np.arange(-25, 26) / 9.0) ** 2)
        smooth /= smooth.sum()
        track = []
        for values in ([s.x for s in steps], [s.z for s in steps]):
            raw = np.interp(times, knots, values)
            # Continue straight beyond both ends, so that no person slows down there.
            padded = np.pad(raw, 25, mode="reflect", reflect_type="odd") if len(raw) > 25 else raw
            track.append(np.convolve(padded, smooth, "valid") if len(raw) > 25 else raw)
        self._x, self._z = track
        self._vx = np.gradient(self._x) * _SAMPLE_RATE if len(self._x) > 1 else np.zeros_like(self._x)
        self._vz = np.gradient(self._z) * _SAMPLE_RATE if len(self._z) > 1 else np.zeros_like(self._z)
        self._walked = np.cumsum(np.hypot(self._vx, self._vz)) / _SAMPLE_RATE

    def state(self, at: float) -> ActorState:
        """Return the person's state at `at` seconds."""
        i = int(np.clip(round((at - self._start) * _SAMPLE_RATE), 0, len(self._x) - 1))
        vx, vz = float(self._vx[i]), float(self._vz[i])
        pace = min(1.0, math.hypot(vx, vz) / 0.7)
        cycle = float(self._walked[i]) / _STRIDE * 2 * math.pi + self._gait[0]
        x, z = float(self._x[i]), float(self._z[i])
        heading = self._heading(x, z, vx, vz)
        sway = self._motion_gain * (0.018 * pace * math.sin(cycle) + 0.007 * self._wander(at, 1, 0.5))
        bob = self._motion_gain * (0.020 * pace * math.cos(2 * cycle) + 0.003 * self._wander(at, 2, 0.6))
        bob += self._breath * math.sin(2 * math.pi * _BREATHS * at + self._gait[1])
        yaw = (
            0.8 * heading
            + self._look(at)
            + self._motion_gain * (3.0 * pace * math.sin(cycle + 0.6) + 6.0 * self._wander(at, 3, 0.33))
        )
        mask, sprite = self._mask(at)
        return ActorState(
            x=x + sway,
            z=z,
            eyes=self.neck + 0.158 + bob,
            heading=heading,
            yaw=(yaw + 180) % 360 - 180,
            pitch=self._motion_gain
            * (3.5 * self._wander(at, 4, 0.41) + 1.5 * pace * math.cos(2 * cycle)),
            roll=self._motion_gain * (1.6 * pace * math.sin(cycle) + 1.8 * self._wander(at, 5, 0.37)),
            phase=int(cycle / (2 * math.pi) * PHASES) % PHASES if pace > 0.15 else 0,
            mask=mask,
            sprite=sprite,
            expression=NEUTRAL if self._expressions is None else self._expressions.at(at),
            coughing=any(start <= at < start + _COUGH_TIME for start in self.figure.coughs),
            speed=(vx, -vz),
        )

    def _heading(self, x: float, z: float, vx: float, vz: float) -> float:
        """Return degrees between the walk and the line to the camera; a standing person faces it."""
        speed = math.hypot(vx, vz)
        direction = math.degrees(math.atan2(vx, -vz)) if speed > 0.02 else 0.0
        camera = math.degrees(math.atan2(-x, z))
        apart = (direction - camera + 180) % 360 - 180
        return apart * min(1.0, max(0.0, (speed - 0.1) / 0.4))

    def _wander(self, at: float, which: int, rate: float) -> float:
        """Return slow irregular motion, about -1 to 1, of `rate` Hz."""
        a, b = self._gait[which], self._gait[(which + 3) % 8]
        slow = math.sin(2 * math.pi * rate * at + a)
        return 0.62 * slow + 0.38 * math.sin(2 * math.pi * 1.73 * rate * at + b)

    def _look(self, at: float) -> float:
        """Return the yaw of the person's gaze, which turns within 0.4 s."""
        yaw = 0.0
        for look in self.figure.looks:
            part = min(1.0, max(0.0, (at - look.at) / 0.4))
            yaw += (look.yaw - yaw) * (3 * part**2 - 2 * part**3)
        return yaw

    def _mask(self, at: float) -> tuple[Wear, int]:
        """Return how the mask is worn at a time, and the key of the head's sprite."""
        wear = self.figure.wear
        for change in self.figure.changes:
            if at < change.at:
                break
            if at < change.at + CHANGE_TIME:
                part = (at - change.at) / CHANGE_TIME
                return Wear.CHANGING, _changing_sprite(wear, change.wear, part)
            wear = change.wear
        return wear, _sprite_of(DROP[wear]) if wear in DROP else -1

    def _sprite(self, key: int, level: int, expression: Expression = NEUTRAL) -> Image:
        """Return the head's premultiplied BGRA, uint8; key -2 is its back."""
        if level > 0:
            return _halved(self.sprite(key, 0, expression), level)
        if key == -2:
            return _premultiplied(back_of(self.head), self.head.alpha)
        head = with_expression(self.head, expression)
        if key == -1:
            return _premultiplied(head.bgr, head.alpha)
        rng = np.random.default_rng(self._mask_seed)
        bgr, alpha = draw_mask(head, self.style, Wear.MASKED, rng, key * 2 / _DROP_STEPS)
        return _premultiplied(bgr, alpha)


def _sprite_of(drop: float) -> int:
    return round(drop / 2 * _DROP_STEPS)


def _changing_sprite(before: Wear, after: Wear, part: float) -> int:
    """Return the key of the head's sprite while a mask is put on, taken off or moved."""
    start, end = DROP.get(before, 2.0), DROP.get(after, 2.0)
    if before is Wear.BARE and part < 0.25:
        return -1
    if after is Wear.BARE and part > 0.75:
        return -1
    return _sprite_of(start + (end - start) * min(1.0, max(0.0, (part - 0.2) / 0.6)))


def _premultiplied(bgr: Image, alpha: Floats) -> Image:
    a = alpha[..., None]
    result: Image = np.concatenate([bgr * a, a * 255], axis=2).astype(np.uint8)
    return result


def _halved(sprite: Image, level: int) -> Image:
    height, width = sprite.shape[0] >> level, sprite.shape[1] >> level
    return cv2.resize(sprite, (width, height), interpolation=cv2.INTER_AREA) if level else sprite


def _varied(head: Head, rng: np.random.Generator) -> Head:
    """Return a variant of the head as of another person: mirrored, lighter, warmer."""
    bgr: Floats = head.bgr.astype(np.float32)
    alpha, landmarks, box = head.alpha, head.landmarks.copy(), head.box
    if rng.random() < 0.5:
        bgr, alpha = bgr[:, ::-1], np.ascontiguousarray(alpha[:, ::-1])
        landmarks[:, 0] = bgr.shape[1] - 1 - landmarks[:, 0]
        landmarks = landmarks[[1, 0, 2, 4, 3]]
        box = (bgr.shape[1] - box[2], box[1], bgr.shape[1] - box[0], box[3])
    warmth = float(rng.uniform(-0.05, 0.05))
    gain = np.array((1 - warmth, 1.0, 1 + warmth), np.float32) * float(rng.uniform(0.84, 1.1))
    grey = bgr.mean(axis=2, keepdims=True)  # portraits are more colourful than pictures of cameras
    bgr = grey + float(rng.uniform(0.75, 0.92)) * (bgr - grey)
    bgr = 255 * (np.clip(bgr * gain, 0, 255) / 255) ** float(rng.uniform(0.92, 1.1))
    skin = tuple(float(v) for v in np.clip(np.asarray(head.skin) * gain, 10, 245))
    return Head(
        head.name,
        np.clip(bgr, 0, 255).astype(np.uint8),
        alpha,
        landmarks,
        box,
        (skin[0], skin[1], skin[2]),
        head.hair,
    )
