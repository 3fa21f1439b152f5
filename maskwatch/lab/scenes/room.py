"""The room behind the people, ray-cast once per scene, and the camera that views it.

Floor, ceiling and walls are planes with procedural surfaces (tiles, paint, doors, lamps); pillars
and counters are boxes in front of them. Lamps in the ceiling light everything, including people.

Coordinates are metres: X to the right, Y up from the floor, Z away from the camera, which is
mounted above the origin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

import cv2
import numpy as np

from maskwatch.lab.arrays import Colour, Floats, Image, sixteenths, smooth_noise


@dataclass(frozen=True, slots=True)
class View:
    """Position and lens of a pinhole camera.

    Attributes:
        width, height: of the picture in pixels.
        mount: height of the lens above the floor, metres.
        tilt: downward, degrees.
        field: horizontal field of view, degrees.
    """

    width: int
    height: int
    mount: float = 2.3
    tilt: float = 13.0
    field: float = 44.0

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.width / 2 / math.tan(math.radians(self.field) / 2)

    def project(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Return the pixel (u, v) of a point and the pixels per metre at its distance."""
        sin, cos = math.sin(math.radians(self.tilt)), math.cos(math.radians(self.tilt))
        drop = self.mount - y
        depth = max(0.05, z * cos + drop * sin)
        scale = self.focal / depth
        u = self.width / 2 + x * scale
        v = self.height / 2 + (drop * cos - z * sin) * scale
        return u, v, scale

    def rays(self) -> tuple[Floats, Floats, Floats]:
        """Return the direction (x, y, z) of every pixel's ray, each float32 (height, width)."""
        sin, cos = math.sin(math.radians(self.tilt)), math.cos(math.radians(self.tilt))
        u = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.focal
        v = (np.arange(self.height, dtype=np.float32) + 0.5 - self.height / 2) / self.focal
        across = np.broadcast_to(u, (self.height, self.width))
        down = np.broadcast_to((-sin - v * cos)[:, None], across.shape)
        ahead = np.broadcast_to((cos - v * sin)[:, None], across.shape)
        return across, down.astype(np.float32), ahead.astype(np.float32)


class Side(StrEnum):
    """Names of the walls."""

    LEFT = "left"
    RIGHT = "right"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Block:
    """A pillar or a counter that can hide people: centre and size in metres, colour."""

    x: float
    z: float
    width: float = 0.45
    depth: float = 0.45
    height: float = 3.0
    colour: Colour = (176, 186, 192)


@dataclass(frozen=True, slots=True)
class Panel:
    """A flat rectangle on a wall, for posters and screens.

    `along` is the middle's Z on a side wall, X on the back wall; `up` the middle's height.
    """

    side: str
    along: float
    up: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Place:
    """Dimensions (metres) and colours (BGR) of a room."""

    half_width: float = 2.6
    depth: float = 13.0
    ceiling: float = 2.9
    wall: Colour = (178, 192, 200)
    floor: Colour = (128, 134, 140)
    tile: float = 0.6
    doors: tuple[tuple[str, float], ...] = ((Side.LEFT, 6.0), (Side.RIGHT, 9.0))
    blocks: tuple[Block, ...] = ()
    lamps: float = 2.4  # metres from lamp to lamp


@dataclass(frozen=True, slots=True)
class Layer:
    """A block as seen by the camera: matte (height, width), colours, and its distance."""

    z: float
    matte: Floats
    bgr: Image
    extent: tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels


@dataclass(frozen=True, slots=True)
class Room:
    """A place as seen by one camera: the picture without people, and the blocks as layers."""

    place: Place
    view: View
    picture: Image
    layers: tuple[Layer, ...] = field(default=())

    def light_at(self, x: float, z: float) -> float:
        """Return the brightness (about 1) of a face at this place."""
        return float(_lamp_light(self.place, x, 1.6, z))

    def corners(self, panel: Panel) -> Floats:
        """Return float32 (4, 2): the panel's corners in pixels, clockwise from the upper left."""
        ends = (-panel.width / 2, panel.width / 2)
        top, low = panel.up + panel.height / 2, panel.up - panel.height / 2
        first, last = (ends[1], ends[0]) if panel.side == Side.RIGHT else ends
        points = [(first, top), (last, top), (last, low), (first, low)]
        pixels = [self.view.project(*self._point(panel, a, y))[:2] for a, y in points]
        return np.array(pixels, np.float32)

    def _point(self, panel: Panel, offset: float, y: float) -> tuple[float, float, float]:
        if panel.side == Side.BACK:
            return panel.along + offset, y, self.place.depth - 0.02
        wall = self.place.half_width - 0.02
        return (-wall if panel.side == Side.LEFT else wall), y, panel.along + offset


def build(place: Place, view: View, rng: np.random.Generator) -> Room:
    """Return the place as `view` sees it, with stains drawn from `rng`."""
    picture: Floats = np.zeros((view.height, view.width, 3), np.float32)
    x, y, z = view.rays()
    reach = _reach(place, view, x, y, z)
    nearest = np.min(np.stack(list(reach.values())), axis=0)
    stains = smooth_noise(rng, (view.width, view.height), view.width / 9)
    for name, distance in reach.items():
        here = distance <= nearest
        at = (x[here] * distance[here], view.mount + y[here] * distance[here])
        point = (*at, z[here] * distance[here])
        picture[here] = _surface(name, place, point) * (1 + 0.012 * stains[here][:, None])
    picture = cv2.GaussianBlur(picture, (0, 0), 0.7)
    layers = tuple(_layer(block, place, view) for block in place.blocks)
    return Room(place, view, np.clip(picture, 0, 255).astype(np.uint8), layers)


def _reach(place: Place, view: View, x: Floats, y: Floats, z: Floats) -> dict[str, Floats]:
    """Return the distance of every ray to each plane (infinite if it does not meet the plane)."""

    def until(gap: float, speed: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = gap / speed
        result: Floats = np.where(steps > 1e-3, steps, np.inf).astype(np.float32)
        return result

    return {
        "floor": until(-view.mount, y),
        "ceiling": until(place.ceiling - view.mount, y),
        Side.LEFT: until(-place.half_width, x),
        Side.RIGHT: until(place.half_width, x),
        Side.BACK: until(place.depth, z),
    }


Point3 = tuple[Floats, Floats, Floats]


def _surface(name: str, place: Place, point: Point3) -> Floats:
    """Return the lit colours (N, 3) of points on one plane."""
    x, y, z = point
    if name == "floor":
        return _floor(place, x, z)
    if name == "ceiling":
        return _ceiling(place, x, z)
    along = x if name == Side.BACK else z
    return _wall(place, name, along, y) * _lamp_light(place, x, y, z)[:, None]


def _lamp_light(place: Place, x: Floats | float, y: Floats | float, z: Floats | float) -> Floats:
    """Return the light of the row of ceiling lamps at points, about 1 below a lamp."""
    total = np.full(np.shape(x), 0.55, np.float32)
    lamps = np.arange(1.2, place.depth, place.lamps)
    for lamp in lamps:
        away = (x * 0.7) ** 2 + (place.ceiling + 0.5 - y) ** 2 + (z - lamp) ** 2
        total += np.float32(0.95 * min(1.0, place.lamps / 2.4)) / (1.0 + away)
    return total


def _lines(value: Floats, step: float, width: float, fade: Floats) -> Floats:
    """Return the share of a joint at `value`; joints finer than `fade` are blurred."""
    off = np.abs((value / step + 0.5) % 1.0 - 0.5) * step
    soft = np.maximum(width, fade)
    result: Floats = (np.clip(1.5 - off / soft, 0, 1) * np.minimum(1, width / soft)).astype(np.float32)
    return result


def _floor(place: Place, x: Floats, z: Floats) -> Floats:
    fade = (0.0009 * z * z).astype(np.float32)
    joint = np.maximum(_lines(x, place.tile, 0.012, 0.3 * fade), _lines(z, place.tile, 0.012, fade))
    column, row = np.floor(x / place.tile + 0.5), np.floor(z / place.tile + 0.5)
    tint = 1 + 0.035 * np.sin(column * 12.9898 + row * 78.233)
    colour = np.asarray(place.floor, np.float32) * tint[:, None]
    lit = colour * _lamp_light(place, x, np.zeros_like(x), z)[:, None] * 1.05
    # A polished floor mirrors the lamps: follow the ray from the floor to the ceiling.
    far = z * (2.3 + place.ceiling) / 2.3
    shine = _lamp_mask(place, x * (2.3 + place.ceiling) / 2.3, far, soft=0.5) * 46
    result: Floats = lit * (1 - 0.28 * joint[:, None]) + shine[:, None]
    return result.astype(np.float32)


def _lamp_mask(place: Place, x: Floats, z: Floats, soft: float) -> Floats:
    """Return 1 on a lamp, 0 between, with an edge of `soft` metres."""
    along = np.abs((z - 1.2) / place.lamps - np.round((z - 1.2) / place.lamps)) * place.lamps
    edge = np.clip((0.62 - along) / soft + 0.5, 0, 1) * np.clip((0.3 - np.abs(x)) / soft + 0.5, 0, 1)
    result: Floats = (edge * (z < place.depth)).astype(np.float32)
    return result


def _ceiling(place: Place, x: Floats, z: Floats) -> Floats:
    joint = np.maximum(_lines(x, 0.6, 0.012, 0.0006 * z * z), _lines(z, 0.6, 0.012, 0.002 * z * z))
    glow = _lamp_mask(place, x, z, soft=0.9) * 26
    base = np.array((196, 202, 204), np.float32) * 0.82 * (1 - 0.16 * joint[:, None]) + glow[:, None]
    lamp = _lamp_mask(place, x, z, soft=0.04)[:, None]
    result: Floats = (base * (1 - lamp) + np.array((250, 252, 250), np.float32) * lamp).astype(
        np.float32
    )
    return result


def _wall(place: Place, side: str, along: Floats, y: Floats) -> Floats:
    colour = np.broadcast_to(np.asarray(place.wall, np.float32), (len(y), 3)).copy()
    colour *= (0.93 + 0.07 * np.clip(y / place.ceiling, 0, 1))[:, None]
    for where, middle in place.doors:
        if where == side:
            _door(colour, along - middle, y)
    colour[y < 0.1] *= 0.62  # skirting board
    corner = np.clip((place.ceiling - y) / 0.25, 0, 1)
    colour *= (0.9 + 0.1 * corner)[:, None]
    return colour


def _door(colour: Floats, across: Floats, y: Floats) -> None:
    """Draw a door, its frame and its handle into the wall's colours, in place."""
    frame = (np.abs(across) < 0.54) & (y < 2.14)
    leaf = (np.abs(across) < 0.46) & (y < 2.06)
    colour[frame] = np.array((112, 122, 130), np.float32)
    colour[leaf] = np.array((104, 136, 164), np.float32)
    colour[leaf & (np.abs(np.abs(across) - 0.455) < 0.012)] *= 0.7
    colour[leaf & (np.hypot(across - 0.36, y - 1.02) < 0.045)] = np.array((190, 196, 200), np.float32)


def _layer(block: Block, place: Place, view: View) -> Layer:
    """Return a block as seen by the camera: its front, visible side and top."""
    near, far = block.z - block.depth / 2, block.z + block.depth / 2
    left, right = block.x - block.width / 2, block.x + block.width / 2
    matte: Floats = np.zeros((view.height, view.width), np.float32)
    bgr = np.zeros((view.height, view.width, 3), np.float32)
    flank = right if block.x < 0 else left
    faces = [((flank, near), (flank, far), 0.72), ((left, near), (right, near), 1.0)]
    if block.height < view.mount:
        _top(block, place, view, matte, bgr)
    for (xa, za), (xb, zb), bright in faces:
        corners = [
            view.project(px, py, pz)[:2]
            for px, py, pz in ((xa, block.height, za), (xb, block.height, zb), (xb, 0, zb), (xa, 0, za))
        ]
        light = bright * float(_lamp_light(place, xa, 1.3, za))
        _paint(matte, bgr, np.array(corners), np.asarray(block.colour, np.float32) * light)
    rounded = np.clip(np.linspace(1.06, 0.9, view.width, dtype=np.float32), 0, 2)
    picture = np.clip(bgr * rounded[None, :, None], 0, 255).astype(np.uint8)
    matte = cv2.GaussianBlur(matte, (0, 0), 0.7)
    ys, xs = np.nonzero(matte > 0.004)
    extent = (
        (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1) if len(xs) else (0, 0, 0, 0)
    )
    return Layer(block.z, matte, picture, extent)


def _top(block: Block, place: Place, view: View, matte: Floats, bgr: Floats) -> None:
    near, far = block.z - block.depth / 2, block.z + block.depth / 2
    left, right = block.x - block.width / 2, block.x + block.width / 2
    ring = ((left, far), (right, far), (right, near), (left, near))
    corners = np.array([view.project(px, block.height, pz)[:2] for px, pz in ring])
    light = float(_lamp_light(place, block.x, 1.0, block.z))
    _paint(matte, bgr, corners, np.asarray(block.colour, np.float32) * light * 1.15)


def _paint(matte: Floats, bgr: Floats, corners: Floats, colour: Floats) -> None:
    points = [sixteenths(np.clip(corners, -20000, 20000))]
    cv2.fillPoly(matte, points, 1.0, lineType=cv2.LINE_AA, shift=4)
    grown = cv2.fillPoly(np.zeros(matte.shape, np.uint8), points, 1, shift=4)
    grown = cv2.dilate(grown, np.ones((5, 5), np.uint8))
    bgr[grown > 0] = colour
