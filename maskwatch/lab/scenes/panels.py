"""Panels on the walls: posters and screens with faces, and shelves of goods."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from maskwatch.lab.arrays import Colour, Floats, Image, blend, polygon, smooth_noise
from maskwatch.lab.scenes.masks import draw_mask, random_style
from maskwatch.lab.scenes.portraits import CANVAS, Head, turned
from maskwatch.lab.scenes.room import Panel, Room
from maskwatch.lab.scenes.scene import Poster, Screen
from maskwatch.lab.truth import Fake, Wear

_SHEET = (360, 480)
"""Width and height of a poster's or screen's picture in pixels."""


def _portrait(head: Head, wear: Wear, rng: np.random.Generator) -> tuple[Image, Floats]:
    if wear is Wear.BARE:
        return head.bgr, head.alpha
    style = random_style(rng)
    worn = Wear.UNDER_NOSE if wear is Wear.UNDER_NOSE else Wear.MASKED
    return draw_mask(head, style, worn, rng)


def _sheet(bgr: Image, alpha: Floats, ground: Floats, at: tuple[float, float]) -> Image:
    """Return the head on a coloured sheet with shoulders, uint8 BGR of `_SHEET`."""
    sheet = ground.copy()
    x, y = at
    neck = (round(x + CANVAS[0] / 2), round(y + 330))
    cv2.ellipse(sheet, neck, (135, 70), 0, 180, 360, (78, 62, 56), -1, cv2.LINE_AA)
    cv2.rectangle(sheet, (neck[0] - 135, neck[1]), (neck[0] + 135, _SHEET[1]), (78, 62, 56), -1)
    move = np.array([[1, 0, x], [0, 1, y]], np.float32)
    face = cv2.warpAffine(bgr.astype(np.float32), move, _SHEET)
    matte = cv2.warpAffine(alpha, move, _SHEET)
    return np.clip(blend(sheet, face, matte), 0, 255).astype(np.uint8)


def _background(rng: np.random.Generator) -> Floats:
    colour: Colour = (
        float(rng.uniform(90, 230)),
        float(rng.uniform(90, 230)),
        float(rng.uniform(90, 230)),
    )
    slope = np.linspace(1.1, 0.8, _SHEET[1], dtype=np.float32)[:, None, None]
    return np.asarray(colour, np.float32) * slope * np.ones((1, _SHEET[0], 1), np.float32)


def _fit(corners: Floats) -> Floats:
    width, height = _SHEET
    sheet = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return cv2.getPerspectiveTransform(sheet, corners)


def _paste(picture: Image, sheet: Image, turn: Floats, corners: Floats) -> None:
    size = (picture.shape[1], picture.shape[0])
    x1, y1 = np.clip(np.floor(corners.min(axis=0)).astype(int) - 2, 0, size)
    x2, y2 = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2, 0, size)
    if x2 <= x1 or y2 <= y1:
        return
    here = np.array([[1, 0, -x1], [0, 1, -y1], [0, 0, 1]], np.float64) @ turn
    area = (int(x2 - x1), int(y2 - y1))
    # Shrink first, since the warp does not average.
    ratio = max(1.0, _SHEET[0] / max(1.0, float(np.ptp(corners[:, 0]))))
    small = cv2.resize(sheet, None, fx=1 / ratio, fy=1 / ratio, interpolation=cv2.INTER_AREA)
    here = here @ np.diag([_SHEET[0] / small.shape[1], _SHEET[1] / small.shape[0], 1.0])
    warped = cv2.warpPerspective(
        small, here, area, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    matte = polygon((area[1], area[0]), corners - (x1, y1))
    part = picture[y1:y2, x1:x2]
    part[:] = part * (1 - matte[..., None]) + warped * matte[..., None]


def _fake(kind: str, head: Head, wear: Wear, turn: Floats, at: tuple[float, float]) -> Fake:
    x1, y1, x2, y2 = head.box
    corners = np.array([[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]], np.float32) + np.array(at, np.float32)
    spots = cv2.perspectiveTransform(corners, turn)[0]
    low, high = spots.min(axis=0), spots.max(axis=0)
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    return Fake(kind=kind, box=box, mask=wear)


def draw_poster(
    picture: Image, room: Room, poster: Poster, head: Head, rng: np.random.Generator
) -> Fake:
    """Draw a poster into the empty room's picture, in place; return its face."""
    bgr, alpha = _portrait(head, poster.wear, rng)
    at = ((_SHEET[0] - CANVAS[0]) / 2, 40.0)
    sheet = _sheet(bgr, alpha, _background(rng), at).astype(np.float32)
    cv2.rectangle(sheet, (0, 0), (_SHEET[0] - 1, _SHEET[1] - 1), (238, 240, 240), 10)
    sheet *= (0.94 + 0.015 * smooth_noise(rng, _SHEET, 60))[..., None]
    corners = room.corners(poster.panel)
    turn = _fit(corners)
    _paste(picture, np.clip(sheet, 0, 255).astype(np.uint8), turn, corners)
    return _fake("poster", head, poster.wear, turn, at)


def draw_shelf(picture: Image, room: Room, panel: Panel, rng: np.random.Generator) -> None:
    """Draw a shelf of goods, without a face, into the empty room's picture, in place."""
    tone = _muted(rng, 60, 150) * np.ones((_SHEET[1], _SHEET[0], 1))
    sheet: Floats = (tone * (0.8 + 0.06 * smooth_noise(rng, _SHEET, 50))[..., None]).astype(np.float32)
    boards = int(rng.integers(3, 6))
    for row in range(boards):
        floor = (row + 1) * _SHEET[1] // boards - 8
        x = int(rng.integers(4, 30))
        while x < _SHEET[0] - 30:
            width, height = int(rng.integers(16, 70)), int(rng.integers(30, 380 // boards))
            _goods(sheet, rng, (x, floor - height, min(x + width, _SHEET[0] - 4), floor))
            x += width + int(rng.integers(2, 18))
        cv2.rectangle(sheet, (0, floor), (_SHEET[0], floor + 8), _muted(rng, 40, 120).tolist(), -1)
    corners = room.corners(panel)
    sheet = cv2.GaussianBlur(sheet, (0, 0), float(rng.uniform(0.6, 3.0)))
    lit = sheet * room.light_at(0.0 if panel.side == "back" else room.place.half_width, panel.along)
    _paste(picture, np.clip(lit, 0, 255).astype(np.uint8), _fit(corners), corners)


def _muted(rng: np.random.Generator, low: float, high: float) -> Floats:
    """Return a random colour of little saturation, BGR."""
    colour = rng.uniform(low, high, 3)
    muted: Floats = colour.mean() + 0.45 * (colour - colour.mean())
    return muted


def _goods(sheet: Floats, rng: np.random.Generator, box: tuple[int, int, int, int]) -> None:
    """Draw one item into `box`: a carton, a bottle or a ball, with a label and a highlight."""
    x1, y1, x2, y2 = box
    colour = _muted(rng, 25, 235)
    middle, radii = ((x1 + x2) // 2, (y1 + y2) // 2), ((x2 - x1) // 2, (y2 - y1) // 2)
    dark, light = (0.55 * colour).tolist(), np.minimum(1.35 * colour, 255).tolist()
    kind = int(rng.integers(3))
    if kind == 0:
        cv2.rectangle(sheet, (x1, y1), (x2, y2), colour.tolist(), -1)
        cv2.rectangle(sheet, (x1, y1 + radii[1] // 2), (x2, y1 + radii[1]), light, -1)
    elif kind == 1:
        cv2.ellipse(sheet, middle, radii, 0, 0, 360, colour.tolist(), -1, cv2.LINE_AA)
        spot = (middle[0] - radii[0] // 3, middle[1] - radii[1] // 3)
        cv2.ellipse(sheet, spot, (radii[0] // 4, radii[1] // 4), 0, 0, 360, light, -1, cv2.LINE_AA)
    else:
        cv2.rectangle(sheet, (x1, y1 + radii[1] // 2), (x2, y2), colour.tolist(), -1)
        neck = (middle[0] - radii[0] // 3, middle[0] + radii[0] // 3)
        cv2.rectangle(sheet, (neck[0], y1), (neck[1], y2), colour.tolist(), -1)
        cv2.rectangle(sheet, (x1, middle[1]), (x2, middle[1] + radii[1] // 2), light, -1)
    cv2.line(sheet, (x2, y1), (x2, y2), dark, 2)


@dataclass(frozen=True, slots=True)
class PlayingScreen:
    """A screen that plays; `ignore` is its outline relative to the picture."""

    bgr: Image
    alpha: Floats
    ground: Floats
    turn: Floats
    corners: Floats
    phase: float
    fake: Fake
    ignore: tuple[tuple[float, float], ...]

    def draw(self, picture: Image, at: float) -> None:
        """Draw what the screen shows at a time into `picture`, in place."""
        a = at + self.phase
        four = np.dstack([self.bgr, (self.alpha * 255).astype(np.uint8)])
        moved = turned(four, 0, 16 * math.sin(1.1 * a) + 6 * math.sin(2.7 * a), 5 * math.sin(1.9 * a))
        spot = (20 + 16 * math.sin(0.7 * a), 40 + 6 * math.sin(2.3 * a))
        sheet = _sheet(moved[..., :3], moved[..., 3].astype(np.float32) / 255, self.ground, spot)
        cv2.rectangle(sheet, (0, 0), (_SHEET[0] - 1, _SHEET[1] - 1), (22, 22, 22), 12)
        _paste(picture, sheet, self.turn, self.corners)


def start_screen(room: Room, screen: Screen, head: Head, rng: np.random.Generator) -> PlayingScreen:
    """Return a screen that shows a talking head."""
    bgr, alpha = _portrait(head, screen.wear, rng)
    corners = room.corners(screen.panel)
    turn = _fit(corners)
    middle = corners.mean(axis=0)
    size = np.array((room.view.width, room.view.height), np.float32)
    outline = np.clip((middle + (corners - middle) * 1.15) / size, 0, 1)
    return PlayingScreen(
        bgr=bgr,
        alpha=alpha,
        ground=_background(rng),
        turn=turn,
        corners=corners,
        phase=float(rng.uniform(0, 20)),
        fake=_fake("screen", head, screen.wear, turn, (20.0, 40.0)),
        ignore=tuple((float(x), float(y)) for x, y in outline),
    )
