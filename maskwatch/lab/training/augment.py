"""What a surveillance camera does to a face, done to a photograph of one.

Every function takes and returns uint8 BGR and draws all chance from the generator it is given, so
that one seed gives one training set. `Augment` puts them together: detector-style jitter of the
crop, occluders, light and colour, then the camera: few pixels, blur, noise, compression.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from maskwatch.domain import Box
from maskwatch.vision.preprocess import cut, resize, square

if TYPE_CHECKING:
    from numpy.random import Generator

    from maskwatch.domain.frame import Image

__all__ = [
    "Augment",
    "blur",
    "classic",
    "compress_h264",
    "infrared",
    "intrude",
    "jitter",
    "jpeg",
    "light",
    "noise",
    "rotate",
    "shrink",
]

_INTERPOLATIONS = (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def jitter(box: Box, rng: Generator, shift: float = 0.08, zoom: float = 0.22) -> Box:
    """Return a box as another annotator or a detector might have drawn it."""
    width = box.width * float(np.exp(rng.uniform(-zoom, zoom)))
    height = box.height * float(np.exp(rng.uniform(-zoom, zoom)))
    x = box.centre.x + float(rng.uniform(-shift, shift)) * box.width
    y = box.centre.y + float(rng.uniform(-shift, shift)) * box.height
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def rotate(image: Image, degrees: float, shear: float = 0.0) -> Image:
    """Return the image turned about its middle, its edge repeated where nothing is known."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[0, 1] += shear
    matrix[0, 2] -= shear * height / 2
    turned = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def light(image: Image, rng: Generator) -> Image:
    """Return the image under another light: exposure, contrast, gamma, colour cast, saturation."""
    mix = np.eye(3)
    if rng.random() < 0.5:
        saturation = rng.uniform(0.2, 1.5)
        mix = saturation * mix + (1 - saturation) / 3
    mix *= rng.uniform(0.85, 1.15, (3, 1))
    mean = float((mix @ cv2.mean(image)[:3]).mean())
    contrast, exposure = rng.uniform(0.6, 1.4), rng.uniform(0.6, 1.35)
    lift = np.full((3, 1), mean * (exposure - contrast))
    mixed = cv2.transform(image, np.hstack([contrast * mix, lift]))
    curve = (np.arange(256) / 255.0) ** float(np.exp(rng.uniform(-0.5, 0.5)))
    return np.asarray(cv2.LUT(mixed, np.asarray(255 * curve, np.uint8)), np.uint8)


def dim(image: Image, rng: Generator) -> Image:
    """Return the image as a lens in the dark sees it: little light, much noise."""
    x = image.astype(np.float32) * rng.uniform(0.15, 0.5)
    x += rng.normal(0, rng.uniform(2, 9), image.shape)
    gain = rng.uniform(1.0, 2.2)
    return np.asarray(np.clip(x * gain, 0, 255), np.uint8)


def infrared(image: Image, rng: Generator) -> Image:
    """Return the image as an infra-red camera gives it: one channel, another mix, hot highlights."""
    weights = rng.dirichlet((1.5, 2.0, 4.0))
    grey = image.astype(np.float32) @ weights.astype(np.float32)
    if rng.random() < 0.5:
        height, width = grey.shape
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        spot = np.exp(-((x - rng.uniform(-0.5, 0.5)) ** 2 + (y - rng.uniform(-0.5, 0.5)) ** 2))
        grey = grey * (0.6 + rng.uniform(0.3, 0.9) * spot)
    grey = 255.0 * (np.clip(grey, 0, 255) / 255.0) ** float(np.exp(rng.uniform(-0.6, 0.3)))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def intrude(image: Image, other: Image, rng: Generator) -> Image:
    """Return the image with a piece of `other` before it: a head, a pole, an arm of a crowd.

    The piece comes in from the side or from below and leaves the upper middle free.
    """
    height, width = image.shape[:2]
    x, y = ((rng.choice((-0.1, 1.1)), rng.uniform(0.1, 1.0)), (rng.uniform(0.2, 0.8), 1.05))[
        int(rng.random() < 0.6)
    ]
    axes = (float(rng.uniform(0.18, 0.48)) * width, float(rng.uniform(0.2, 0.55)) * height)
    middle = (float(x) * width, float(y) * height)
    alpha = np.zeros((height, width), np.float32)
    cv2.ellipse(alpha, (middle, (2 * axes[0], 2 * axes[1]), float(rng.uniform(-40, 40))), 1.0, -1)
    soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(0.5, 0.012 * width)), np.float64)[:, :, None]
    piece = cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA).astype(np.float64)
    if rng.random() < 0.5:
        piece = np.broadcast_to(piece.mean(axis=(0, 1)), piece.shape) * rng.uniform(0.2, 1.2)
        piece = piece + rng.normal(0, 8, piece.shape)
    return np.clip(image * (1 - soft) + piece * soft, 0, 255).astype(np.uint8)


def blur(image: Image, rng: Generator) -> Image:
    """Return the image out of focus, or smeared by motion along a random direction."""
    size = min(image.shape[:2])
    if rng.random() < 0.5:
        return np.asarray(
            cv2.GaussianBlur(image, (0, 0), max(0.3, rng.uniform(0.008, 0.035) * size)), np.uint8
        )
    length = max(2, int(size * rng.uniform(0.03, 0.12)))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    middle = (length - 1) / 2
    ends = middle + np.outer((-1, 1), (np.cos(angle), np.sin(angle))) * middle
    cv2.line(kernel, tuple(ends[0].round().astype(int)), tuple(ends[1].round().astype(int)), 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def noise(image: Image, rng: Generator) -> Image:
    """Return the image with sensor noise, partly the same in all channels."""
    sigma = rng.uniform(1, 12)
    height, width = image.shape[:2]
    shared = rng.normal(0, sigma, (height, width, 1))
    own = rng.normal(0, sigma * rng.uniform(0, 0.8), (height, width, 3))
    return np.clip(image + shared + own, 0, 255).astype(np.uint8)


def jpeg(image: Image, rng: Generator) -> Image:
    """Return the image after JPEG compression of quality 15 to 90."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 91))])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def shrink(image: Image, side: int, rng: Generator) -> Image:
    """Return the image with `side` pixels to a side, by one of the ways cameras use."""
    way = _INTERPOLATIONS[int(rng.integers(len(_INTERPOLATIONS)))]
    if way != cv2.INTER_AREA and min(image.shape[:2]) > 2 * side:
        image = np.asarray(
            cv2.resize(image, (2 * side, 2 * side), interpolation=cv2.INTER_AREA), np.uint8
        )
    return np.asarray(cv2.resize(image, (side, side), interpolation=way), np.uint8)


def compress_h264(tiles: list[Image], rng: Generator) -> list[Image]:
    """Return `tiles` (all of one even size) after H.264 of a random quality, side by side in a frame."""
    side = tiles[0].shape[0]
    columns = int(np.ceil(np.sqrt(len(tiles))))
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * side, columns * side, 3), np.uint8)
    places = [(i // columns * side, i % columns * side) for i in range(len(tiles))]
    for tile, (y, x) in zip(tiles, places, strict=True):
        sheet[y : y + side, x : x + side] = tile
    shown = _through_h264(sheet, int(rng.integers(24, 42)))
    return [shown[y : y + side, x : x + side].copy() for y, x in places]


def _through_h264(sheet: Image, quality: int) -> Image:
    """Return `sheet` (even sides) encoded at the constant rate factor `quality`, and decoded."""
    buffer = io.BytesIO()
    height, width = sheet.shape[:2]
    with av.open(buffer, "w", format="h264") as writer:
        stream = writer.add_stream(
            "libx264", rate=25, options={"crf": str(quality), "preset": "ultrafast"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in (av.VideoFrame.from_ndarray(sheet, format="bgr24"), None):
            writer.mux(stream.encode(frame))
    buffer.seek(0)
    with av.open(buffer, "r", format="h264") as reader:
        frame = next(reader.decode(video=0))
        return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def classic(image: Image, size: int, rng: Generator) -> Image:
    """Return the paper's augmentation: turn 20 degrees, zoom and shear 15 %, shift 20 %, mirror."""
    small = resize(image, size)
    zoom = float(rng.uniform(0.85, 1.15))
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.uniform(-20, 20)), zoom)
    shear = float(np.tan(np.deg2rad(rng.uniform(-0.15, 0.15))))
    matrix[0] = matrix[0] + shear * matrix[1]
    matrix[:, 2] = matrix[:, 2] + rng.uniform(-0.2, 0.2, 2) * size
    moved = cv2.warpAffine(small, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved[:, ::-1] if rng.random() < 0.5 else moved, np.uint8)


@dataclass(frozen=True, slots=True)
class Augment:
    """The whole chain, for one training crop of `size` pixels.

    Attributes:
        size: the network's input size.
        margin: the serving margin around a face box.
        strength: 0 leaves only mirror and crop jitter; 1 is the full surveillance camera.
        smallest: height in pixels of the smallest face to be simulated.
    """

    size: int
    margin: float
    strength: float = 1.0
    smallest: float = 11.0

    def face(self, image: Image, box: Box, rng: Generator, before: Image | None = None) -> Image:
        """Return an augmented crop (uint8 BGR, square, of any side) of the face at `box`.

        `before` is a picture of which a piece is put before the face.
        """
        area = cut(image, square(jitter(box, rng), self.margin))
        return self._camera(self._scene(area, rng, before), rng)

    def whole(self, image: Image, rng: Generator, before: Image | None = None) -> Image:
        """Return an augmented version of a picture that is a crop already."""
        height, width = image.shape[:2]
        box = jitter(Box(0, 0, width, height), rng, shift=0.06, zoom=0.14)
        return self._camera(self._scene(cut(image, box), rng, before), rng)

    def _scene(self, image: Image, rng: Generator, before: Image | None) -> Image:
        """Mirror, turn and light the face, before the camera sees it."""
        side = min(max(image.shape[:2]), int(1.5 * self.size))
        image = resize(image, max(4, side))
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
        if before is not None:
            image = intrude(image, before, rng)
        if rng.random() < 0.6:
            image = rotate(image, float(rng.normal(0, 9)), float(rng.normal(0, 0.06)))
        if rng.random() < 0.8 * self.strength:
            image = light(image, rng)
        if rng.random() < 0.2 * self.strength:
            image = infrared(image, rng)
        return image

    def _camera(self, image: Image, rng: Generator) -> Image:
        """Fewer pixels, blur, noise and compression, as drawn."""
        if rng.random() < 0.65 * self.strength:
            face = float(np.exp(rng.uniform(np.log(self.smallest), np.log(60.0))))
            side = round(face * (1 + 2 * self.margin))
            if side < min(image.shape[:2]):
                image = shrink(image, side, rng)
        if rng.random() < 0.25 * self.strength:
            image = blur(image, rng)
        if rng.random() < 0.06 * self.strength:
            image = dim(image, rng)
        if rng.random() < 0.3 * self.strength:
            image = noise(image, rng)
        if rng.random() < 0.35 * self.strength:
            image = jpeg(image, rng)
        return image
