"""Draws one person into a frame and knows afterwards what can be seen of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from maskwatch.lab.scenes import body, portraits
from maskwatch.lab.scenes.actor import Actor, Bearing
from maskwatch.lab.scenes.arrays import Floats, Image
from maskwatch.lab.scenes.body import Pose
from maskwatch.lab.scenes.place import Room
from maskwatch.lab.scenes.sprites import Placed, level_for, place, shadow
from maskwatch.lab.scenes.turning import FACE_GONE, turned
from maskwatch.lab.truth import PersonFrame, Wear

__all__ = ["Drawn", "draw_actor"]

Rect = tuple[float, float, float, float]
_BEHIND_HAND = 0.6  # share of a face in view beside the hand before its mouth
_TURN = np.linspace(0, 2 * math.pi, 12, endpoint=False)
_DISC = np.array([(r * math.cos(a), r * math.sin(a)) for r in (0.3, 0.6, 0.88) for a in _TURN])


class _Set(Protocol):
    """What a person needs to know of the stage."""

    room: Room
    size: tuple[int, int]

    @property
    def smear(self) -> float: ...

    def light(self, x: float, z: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Drawn:
    """One person as drawn: their boxes before anything else covers them."""

    visit: int
    bearing: Bearing
    face: Rect | None
    body: Rect
    size: tuple[int, int]

    def truth(self, owners: Image) -> PersonFrame:
        """Return the person's truth, given who owns each pixel (quarter size) in the end."""
        return PersonFrame(
            visit=self.visit,
            face=_rounded(self.face) if self.face else None,
            body=_rounded(self.body),
            mask=self.bearing.mask,
            visible=round(self._visible(owners), 2),
            yaw=round(self.bearing.yaw, 1),
        )

    def _visible(self, owners: Image) -> float:
        if self.face is None:
            return 0.0
        x1, y1, x2, y2 = self.face
        middle, radii = ((x1 + x2) / 2, (y1 + y2) / 2), ((x2 - x1) / 2, (y2 - y1) / 2)
        spots = _DISC * radii + middle
        inside = ((spots >= 0) & (spots < np.asarray(self.size))).all(axis=1)
        x, y = (spots[inside] // 4).astype(int).T
        own = float((owners[y, x] == self.visit + 1).sum()) / len(_DISC)
        return own * (_BEHIND_HAND if self.bearing.coughing else 1.0)


def _rounded(rect: Rect) -> Rect:
    x1, y1, x2, y2 = (round(value, 1) for value in rect)
    return x1, y1, x2, y2


def draw_actor(
    picture: Image, owners: Image, visit: int, actor: Actor, bearing: Bearing, stage: _Set
) -> Drawn | None:
    """Draw the person into `picture` and `owners`; None when nothing of them is in the picture."""
    view = stage.room.view
    gain = stage.light(bearing.x, bearing.z)
    onto, scale = _body_map(actor, bearing, stage.room)
    foot = view.project(bearing.x, 0.0, bearing.z)
    shadow(picture, foot[0], foot[1], 0.36 * foot[2], 0.10 * foot[2])
    smear = tuple(v * stage.smear * scale for v in (bearing.speed[0], 0.15 * bearing.speed[1]))
    motion = (float(smear[0]), float(smear[1]))
    parts = [
        _body(actor, bearing, pose, onto, stage.size, scale, gain, motion) for pose in _poses(bearing)
    ]
    head_map, head_scale = _head_map(actor, bearing, stage.room)
    head = _head(actor, bearing, head_map, head_scale, stage.size, gain, motion)
    parts.insert(1, head)
    laid = [part for part in parts if part is not None]
    for part in laid:
        part.lay(picture)
        part.stamp(owners, visit + 1)
    if not laid:
        return None
    box = _union(laid)
    return Drawn(visit, bearing, _face_box(actor, bearing, head_map), box, stage.size)


def _poses(bearing: Bearing) -> tuple[Pose, ...]:
    if abs(bearing.heading) > 90:
        return (Pose.BACK,)
    if bearing.mask is Wear.CHANGING:
        return Pose.HANDS_UP, Pose.HANDS
    if bearing.coughing:
        return Pose.HAND_UP, Pose.HAND
    return (Pose.FRONT,)


def _body_map(actor: Actor, bearing: Bearing, room: Room) -> tuple[Floats, float]:
    """Return the map from the body's canvas to the picture, and pixels per metre at the chest."""
    bob = bearing.eyes - actor.neck - 0.158
    un, vn, scale = room.view.project(bearing.x, actor.neck + bob, bearing.z)
    uf, vf, _ = room.view.project(bearing.x, 0.0, bearing.z)
    narrow = 0.74 + 0.26 * abs(math.cos(math.radians(bearing.heading)))
    height = actor.neck * body.SCALE
    x, y = body.NECK
    source = np.array([(x, y), (x + 100, y), (x, y + height)], np.float32)
    across = un + 100 / body.SCALE * scale * narrow
    target = np.array([(un, vn), (across, vn), (uf, vf)], np.float32)
    return cv2.getAffineTransform(source, target), scale


def _body(
    actor: Actor,
    bearing: Bearing,
    pose: Pose,
    onto: Floats,
    size: tuple[int, int],
    scale: float,
    gain: float,
    motion: tuple[float, float],
) -> Placed | None:
    level = level_for(scale / body.SCALE)
    sprite = actor.body_sprite(bearing.phase, pose, level)
    return place(sprite, onto, level, size, gain, motion)


def _head_map(actor: Actor, bearing: Bearing, room: Room) -> tuple[Floats, float]:
    """Return the map from the head's canvas (a millimetre per pixel) to the picture."""
    u, v, metre = room.view.project(bearing.x, bearing.eyes, bearing.z)
    scale = metre / 1000 * actor.size
    turn: Floats = cv2.getRotationMatrix2D(portraits.EYES, -bearing.roll, scale)
    turn[:, 2] += np.array((u, v)) - portraits.EYES
    return turn, scale


def _head(
    actor: Actor,
    bearing: Bearing,
    onto: Floats,
    scale: float,
    size: tuple[int, int],
    gain: float,
    motion: tuple[float, float],
) -> Placed | None:
    level = min(2, level_for(scale))
    away = abs(bearing.yaw) >= FACE_GONE
    sprite = actor.sprite(-2 if away else bearing.sprite, level)
    if not away:
        sprite = turned(sprite, level, bearing.yaw, bearing.pitch)
    return place(sprite, onto, level, size, gain, motion)


def _face_box(actor: Actor, bearing: Bearing, onto: Floats) -> Rect | None:
    if abs(bearing.yaw) >= FACE_GONE:
        return None
    x1, y1, x2, y2 = actor.head.box
    shift = 40 * math.sin(math.radians(float(np.clip(bearing.yaw, -40, 40))))
    nod = 24 * math.sin(math.radians(bearing.pitch))
    corners = np.array([[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]], np.float32)
    corners += np.array((shift, nod), np.float32)
    spots = cv2.transform(corners, onto)[0]
    (left, top), (right, bottom) = spots.min(axis=0), spots.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _union(parts: list[Placed]) -> Rect:
    """Return the box around what the sprites really cover."""
    boxes = []
    for part in parts:
        x, y, width, height = cv2.boundingRect((part.pixels[..., 3] > 127).astype(np.uint8))
        boxes.append((part.x + x, part.y + y, part.x + x + width, part.y + y + height))
    low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
    return float(low[0]), float(low[1]), float(high[2]), float(high[3])
