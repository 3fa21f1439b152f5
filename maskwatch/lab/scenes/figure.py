"""Draws one person into a frame, and measures afterwards how much of them is visible."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from maskwatch.lab.arrays import Floats, Image
from maskwatch.lab.scenes import body, portraits
from maskwatch.lab.scenes.actor import Actor, ActorState
from maskwatch.lab.scenes.body import Pose
from maskwatch.lab.scenes.portraits import FACE_GONE, turned
from maskwatch.lab.scenes.room import Room
from maskwatch.lab.truth import PersonFrame, Wear

Rect = tuple[float, float, float, float]
_VISIBLE_BESIDE_HAND = 0.6  # share of a face that is visible beside a hand over its mouth
_TURN = np.linspace(0, 2 * math.pi, 12, endpoint=False)
_DISC = np.array([(r * math.cos(a), r * math.sin(a)) for r in (0.3, 0.6, 0.88) for a in _TURN])


class _Surroundings(Protocol):
    """What drawing a person uses of the scene's renderer."""

    room: Room
    size: tuple[int, int]

    @property
    def smear(self) -> float: ...

    def light(self, x: float, z: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Drawn:
    """One person as drawn: their boxes, without regard to what covers them."""

    visit: int
    state: ActorState
    face: Rect | None
    body: Rect
    size: tuple[int, int]

    def seen_from(self, left: int, size: tuple[int, int]) -> Drawn | None:
        """Return the person in the part of the picture that begins at a column; None if outside."""
        body = _shifted(self.body, left)
        if body[2] <= 0 or body[0] >= size[0]:
            return None
        face = None if self.face is None else _shifted(self.face, left)
        return replace(self, face=face, body=body, size=size)

    def truth(self, owners: Image) -> PersonFrame:
        """Return the person's truth, given the finished map of owners (quarter size)."""
        return PersonFrame(
            visit=self.visit,
            face=_rounded(self.face) if self.face else None,
            body=_rounded(self.body),
            mask=self.state.mask,
            visible=round(self._visible(owners), 2),
            yaw=round(self.state.yaw, 1),
        )

    def _visible(self, owners: Image) -> float:
        if self.face is None:
            return 0.0
        x1, y1, x2, y2 = self.face
        middle, radii = ((x1 + x2) / 2, (y1 + y2) / 2), ((x2 - x1) / 2, (y2 - y1) / 2)
        points = _DISC * radii + middle
        inside = ((points >= 0) & (points < np.asarray(self.size))).all(axis=1)
        x, y = (points[inside] // 4).astype(int).T
        own = float((owners[y, x] == self.visit + 1).sum()) / len(_DISC)
        return own * (_VISIBLE_BESIDE_HAND if self.state.coughing else 1.0)


def _shifted(rect: Rect, left: int) -> Rect:
    return rect[0] - left, rect[1], rect[2] - left, rect[3]


def _rounded(rect: Rect) -> Rect:
    x1, y1, x2, y2 = (round(value, 1) for value in rect)
    return x1, y1, x2, y2


def draw_actor(
    picture: Image, owners: Image, visit: int, actor: Actor, state: ActorState, scene: _Surroundings
) -> Drawn | None:
    """Draw the person into `picture` and `owners`; return None if they are outside the picture."""
    view = scene.room.view
    gain = scene.light(state.x, state.z)
    transform, scale = _body_map(actor, state, scene.room)
    foot = view.project(state.x, 0.0, state.z)
    shadow(picture, foot[0], foot[1], 0.36 * foot[2], 0.10 * foot[2])
    smear = tuple(v * scene.smear * scale for v in (state.speed[0], 0.15 * state.speed[1]))
    motion = (float(smear[0]), float(smear[1]))
    parts = [
        _body(actor, state, pose, transform, scene.size, scale, gain, motion) for pose in _poses(state)
    ]
    head_map, head_scale = _head_map(actor, state, scene.room)
    head = _head(actor, state, head_map, head_scale, scene.size, gain, motion)
    parts.insert(1, head)
    placed = [part for part in parts if part is not None]
    for part in placed:
        part.blend_into(picture)
        part.mark(owners, visit + 1)
    if not placed:
        return None
    box = _union(placed)
    return Drawn(visit, state, _face_box(actor, state, head_map), box, scene.size)


def _poses(state: ActorState) -> tuple[Pose, ...]:
    if abs(state.heading) > 90:
        return (Pose.BACK,)
    if state.mask is Wear.CHANGING:
        return Pose.HANDS_UP, Pose.HANDS
    if state.coughing:
        return Pose.HAND_UP, Pose.HAND
    return (Pose.FRONT,)


def _body_map(actor: Actor, state: ActorState, room: Room) -> tuple[Floats, float]:
    """Return the map from the body's canvas to the picture, and pixels per metre at the chest."""
    bob = state.eyes - actor.neck - 0.158
    un, vn, scale = room.view.project(state.x, actor.neck + bob, state.z)
    uf, vf, _ = room.view.project(state.x, 0.0, state.z)
    narrow = 0.74 + 0.26 * abs(math.cos(math.radians(state.heading)))
    height = actor.neck * body.SCALE
    x, y = body.NECK
    source = np.array([(x, y), (x + 100, y), (x, y + height)], np.float32)
    across = un + 100 / body.SCALE * scale * narrow
    target = np.array([(un, vn), (across, vn), (uf, vf)], np.float32)
    return cv2.getAffineTransform(source, target), scale


def _body(
    actor: Actor,
    state: ActorState,
    pose: Pose,
    transform: Floats,
    size: tuple[int, int],
    scale: float,
    gain: float,
    motion: tuple[float, float],
) -> Placed | None:
    level = level_for(scale / body.SCALE)
    sprite = actor.body_sprite(state.phase, pose, level)
    return place(sprite, transform, level, size, gain, motion)


def _head_map(actor: Actor, state: ActorState, room: Room) -> tuple[Floats, float]:
    """Return the map from the head's canvas (a millimetre per pixel) to the picture."""
    u, v, metre = room.view.project(state.x, state.eyes, state.z)
    scale = metre / 1000 * actor.size
    turn: Floats = cv2.getRotationMatrix2D(portraits.EYES, -state.roll, scale)
    turn[:, 2] += np.array((u, v)) - portraits.EYES
    return turn, scale


def _head(
    actor: Actor,
    state: ActorState,
    transform: Floats,
    scale: float,
    size: tuple[int, int],
    gain: float,
    motion: tuple[float, float],
) -> Placed | None:
    level = min(2, level_for(scale))
    away = abs(state.yaw) >= FACE_GONE
    sprite = actor.sprite(-2 if away else state.sprite, level, state.expression)
    if not away:
        sprite = turned(sprite, level, state.yaw, state.pitch)
    return place(sprite, transform, level, size, gain, motion)


def _face_box(actor: Actor, state: ActorState, transform: Floats) -> Rect | None:
    if abs(state.yaw) >= FACE_GONE:
        return None
    x1, y1, x2, y2 = actor.head.box
    shift = 40 * math.sin(math.radians(float(np.clip(state.yaw, -40, 40))))
    nod = 24 * math.sin(math.radians(state.pitch))
    corners = np.array([[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]], np.float32)
    corners += np.array((shift, nod), np.float32)
    points = cv2.transform(corners, transform)[0]
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _union(parts: list[Placed]) -> Rect:
    """Return the box around the pixels that the sprites cover."""
    boxes = []
    for part in parts:
        x, y, width, height = cv2.boundingRect((part.pixels[..., 3] > 127).astype(np.uint8))
        boxes.append((part.x + x, part.y + y, part.x + x + width, part.y + y + height))
    low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
    return float(low[0]), float(low[1]), float(high[2]), float(high[3])


@dataclass(frozen=True, slots=True)
class Placed:
    """A sprite placed in the picture: upper left corner, and uint8 (h, w, 4) pixels."""

    x: int
    y: int
    pixels: Image

    def blend_into(self, picture: Image) -> None:
        """Blend the sprite into `picture` (uint8 BGR), in place."""
        height, width = self.pixels.shape[:2]
        area = picture[self.y : self.y + height, self.x : self.x + width]
        clear = cv2.cvtColor(cv2.bitwise_not(self.pixels[..., 3]), cv2.COLOR_GRAY2BGR)
        below = cv2.multiply(area, clear, scale=1 / 255)
        cv2.add(below, cv2.cvtColor(self.pixels, cv2.COLOR_BGRA2BGR), dst=area)

    def mark(self, owners: Image, owner: int) -> None:
        """Mark in the quarter-size map `owners` (uint8) which pixels the sprite covers."""
        y0, x0 = -self.y % 4, -self.x % 4
        covered = self.pixels[y0::4, x0::4, 3] > 127
        y, x = (self.y + y0) // 4, (self.x + x0) // 4
        area = owners[y : y + covered.shape[0], x : x + covered.shape[1]]
        area[covered[: area.shape[0], : area.shape[1]]] = owner


def level_for(scale: float) -> int:
    """Return the pyramid level to draw at `scale` (picture pixels per sprite pixel) from."""
    return int(np.clip(math.floor(-math.log2(max(scale, 1e-3)) + 0.25), 0, 3))


def place(
    sprite: Image,
    transform: Floats,
    level: int,
    size: tuple[int, int],
    gain: float = 1.0,
    smear: tuple[float, float] = (0.0, 0.0),
) -> Placed | None:
    """Return the sprite as `transform` places it, or None if it is outside the picture.

    `transform` is the 2x3 map from pixels of the sprite's full size (`sprite` itself is that of
    pyramid `level`) to pixels of a picture of `size`; `smear` is the motion in pixels during the
    exposure, across and down.
    """
    height, width = sprite.shape[:2]
    turn = transform.astype(np.float64).copy()
    turn[:, :2] *= 2**level
    corners = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
    points = cv2.transform(corners, turn)[0]
    margin = 2 + max(abs(smear[0]), abs(smear[1]))
    x1, y1 = np.floor(np.maximum(points.min(axis=0) - margin, 0)).astype(int)
    x2, y2 = np.ceil(np.minimum(points.max(axis=0) + margin, size)).astype(int)
    if x2 - x1 < 2 or y2 - y1 < 2:
        return None
    turn[:, 2] -= (x1, y1)
    pixels = cv2.warpAffine(sprite, turn, (int(x2 - x1), int(y2 - y1)), flags=cv2.INTER_LINEAR)
    pixels = _lit(_smeared(pixels, smear), gain)
    return Placed(int(x1), int(y1), pixels)


def _smeared(pixels: Image, smear: tuple[float, float]) -> Image:
    across, down = (max(1, round(abs(v))) for v in smear)
    return cv2.blur(pixels, (across, down)) if across > 1 or down > 1 else pixels


def _lit(pixels: Image, gain: float) -> Image:
    """Return the sprite brighter by `gain`, its matte unchanged."""
    if abs(gain - 1) < 0.01:
        return pixels
    table = np.clip(np.arange(256) * gain, 0, 255).astype(np.uint8)
    four = np.stack([table, table, table, np.arange(256, dtype=np.uint8)], axis=1)[None]
    return cv2.LUT(pixels, four)


_SPOT = np.hypot(*np.meshgrid(np.linspace(-1, 1, 48), np.linspace(-1, 1, 48))).astype(np.float32)
_SHADE = (255 - 115 * np.clip(1 - _SPOT, 0, 1) ** 0.8).astype(np.uint8)


def shadow(picture: Image, x: float, y: float, across: float, down: float) -> None:
    """Darken the floor around (x, y) in an ellipse of these radii (pixels), in place."""
    x1, y1 = max(0, round(x - across)), max(0, round(y - down))
    x2, y2 = min(picture.shape[1], round(x + across)), min(picture.shape[0], round(y + down))
    if x2 - x1 < 2 or y2 - y1 < 2:
        return
    scale = (2 * across / 48, 2 * down / 48)
    turn = np.array([[scale[0], 0, x - across - x1], [0, scale[1], y - down - y1]], np.float64)
    dark = cv2.warpAffine(_SHADE, turn, (x2 - x1, y2 - y1), borderValue=255.0)
    area = picture[y1:y2, x1:x2]
    cv2.multiply(area, cv2.cvtColor(dark, cv2.COLOR_GRAY2BGR), dst=area, scale=1 / 255)
