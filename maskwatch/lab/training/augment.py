"""Augmentations that degrade photographs of faces like a surveillance camera.

Every function takes and returns uint8 BGR and uses only the random generator passed to it, so that one
seed gives one training set. `Augment` combines them: crop jitter, occluders, light and colour, then the
camera's low resolution, blur, noise and compression.
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

_INTERPOLATIONS = (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def jitter(box: Box, rng: Generator, shift: float = 0.08, zoom: float = 0.22) -> Box:
    """Return the box shifted and scaled at random, as annotators and detectors differ."""
    width = box.width * float(np.exp(rng.uniform(-zoom, zoom)))
    height = box.height * float(np.exp(rng.uniform(-zoom, zoom)))
    x = box.centre.x + float(rng.uniform(-shift, shift)) * box.width
    y = box.centre.y + float(rng.uniform(-shift, shift)) * box.height
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def rotate(image: Image, degrees: float, shear: float = 0.0) -> Image:
    """Return the image rotated about its centre; pixels from outside repeat the edge."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[0, 1] += shear
    matrix[0, 2] -= shear * height / 2
    rotated = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(rotated, np.uint8)


def light(image: Image, rng: Generator) -> Image:
    """Return the image with random exposure, contrast, gamma, colour cast and saturation."""
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
    """Return the image as a camera sees it in the dark: underexposed, noisy, amplified."""
    x = image.astype(np.float32) * rng.uniform(0.15, 0.5)
    x += rng.normal(0, rng.uniform(2, 9), image.shape)
    gain = rng.uniform(1.0, 2.2)
    return np.asarray(np.clip(x * gain, 0, 255), np.uint8)


def infrared(image: Image, rng: Generator) -> Image:
    """Return the image like an infra-red camera's: random channel mix in grey, bright spot."""
    weights = rng.dirichlet((1.5, 2.0, 4.0))
    grey = image.astype(np.float32) @ weights.astype(np.float32)
    if rng.random() < 0.5:
        height, width = grey.shape
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        spot = np.exp(-((x - rng.uniform(-0.5, 0.5)) ** 2 + (y - rng.uniform(-0.5, 0.5)) ** 2))
        grey = grey * (0.6 + rng.uniform(0.3, 0.9) * spot)
    grey = 255.0 * (np.clip(grey, 0, 255) / 255.0) ** float(np.exp(rng.uniform(-0.6, 0.3)))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def obstruct(image: Image, other: Image, rng: Generator) -> Image:
    """Return the image partly hidden by a piece of `other`, as by people in a crowd.

    The piece enters from a side or from below and leaves the upper centre visible.
    """
    height, width = image.shape[:2]
    x, y = ((rng.choice((-0.1, 1.1)), rng.uniform(0.1, 1.0)), (rng.uniform(0.2, 0.8), 1.05))[
        int(rng.random() < 0.6)
    ]
    axes = (float(rng.uniform(0.18, 0.48)) * width, float(rng.uniform(0.2, 0.55)) * height)
    centre = (float(x) * width, float(y) * height)
    alpha = np.zeros((height, width), np.float32)
    cv2.ellipse(alpha, (centre, (2 * axes[0], 2 * axes[1]), float(rng.uniform(-40, 40))), 1.0, -1)
    soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(0.5, 0.012 * width)), np.float64)[:, :, None]
    piece = cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA).astype(np.float64)
    if rng.random() < 0.5:
        piece = np.broadcast_to(piece.mean(axis=(0, 1)), piece.shape) * rng.uniform(0.2, 1.2)
        piece = piece + rng.normal(0, 8, piece.shape)
    return np.clip(image * (1 - soft) + piece * soft, 0, 255).astype(np.uint8)


def blur(image: Image, rng: Generator) -> Image:
    """Return the image with focus blur, or with motion blur in a random direction."""
    size = min(image.shape[:2])
    if rng.random() < 0.5:
        return np.asarray(
            cv2.GaussianBlur(image, (0, 0), max(0.3, rng.uniform(0.008, 0.035) * size)), np.uint8
        )
    length = max(2, int(size * rng.uniform(0.03, 0.12)))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    centre = (length - 1) / 2
    ends = centre + np.outer((-1, 1), (np.cos(angle), np.sin(angle))) * centre
    cv2.line(kernel, tuple(ends[0].round().astype(int)), tuple(ends[1].round().astype(int)), 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def noise(image: Image, rng: Generator) -> Image:
    """Return the image with sensor noise, part of it equal in all channels."""
    sigma = rng.uniform(1, 12)
    height, width = image.shape[:2]
    common = rng.normal(0, sigma, (height, width, 1))
    per_channel = rng.normal(0, sigma * rng.uniform(0, 0.8), (height, width, 3))
    return np.clip(image + common + per_channel, 0, 255).astype(np.uint8)


def jpeg(image: Image, rng: Generator) -> Image:
    """Return the image after JPEG compression of quality 15 to 90."""
    success, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 91))])
    assert success
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def downscale(image: Image, side: int, rng: Generator) -> Image:
    """Return the image resized to `side` pixels per side with a random interpolation."""
    interpolation = _INTERPOLATIONS[int(rng.integers(len(_INTERPOLATIONS)))]
    if interpolation != cv2.INTER_AREA and min(image.shape[:2]) > 2 * side:
        image = np.asarray(
            cv2.resize(image, (2 * side, 2 * side), interpolation=cv2.INTER_AREA), np.uint8
        )
    return np.asarray(cv2.resize(image, (side, side), interpolation=interpolation), np.uint8)


def compress_h264(tiles: list[Image], rng: Generator) -> list[Image]:
    """Return `tiles` (all of one even size) compressed as one H.264 frame of random quality."""
    side = tiles[0].shape[0]
    columns = int(np.ceil(np.sqrt(len(tiles))))
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * side, columns * side, 3), np.uint8)
    corners = [(i // columns * side, i % columns * side) for i in range(len(tiles))]
    for tile, (y, x) in zip(tiles, corners, strict=True):
        sheet[y : y + side, x : x + side] = tile
    decoded = _h264_round_trip(sheet, int(rng.integers(24, 42)))
    return [decoded[y : y + side, x : x + side].copy() for y, x in corners]


def _h264_round_trip(sheet: Image, quality: int) -> Image:
    """Return `sheet` (even sides) encoded at the constant rate factor `quality` and decoded."""
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
    """Return the paper's augmentation: rotate 20 degrees, zoom and shear 15 %, shift 20 %, mirror."""
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
    """All augmentations of a training crop.

    Attributes:
        size: the network's input size.
        margin: added around a face box in serving.
        strength: scales the probability of degradations; 0 leaves geometry only, 1 is a camera.
        smallest: height in pixels of the smallest simulated face.

    """

    size: int
    margin: float
    strength: float = 1.0
    smallest: float = 11.0

    def face(self, image: Image, box: Box, rng: Generator, obstacle: Image | None = None) -> Image:
        """Return an augmented crop (uint8 BGR, square, of any side) of the face at `box`.

        A piece of the picture `obstacle` hides a part of the face.
        """
        area = cut(image, square(jitter(box, rng), self.margin))
        return self._camera(self._scene(area, rng, obstacle), rng)

    def whole(self, image: Image, rng: Generator, obstacle: Image | None = None) -> Image:
        """Return an augmented version of a picture that is a crop."""
        height, width = image.shape[:2]
        box = jitter(Box(0, 0, width, height), rng, shift=0.06, zoom=0.14)
        return self._camera(self._scene(cut(image, box), rng, obstacle), rng)

    def _scene(self, image: Image, rng: Generator, obstacle: Image | None) -> Image:
        """Mirror, obstruct, rotate and light the face."""
        side = min(max(image.shape[:2]), int(1.5 * self.size))
        image = resize(image, max(4, side))
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
        if obstacle is not None:
            image = obstruct(image, obstacle, rng)
        if rng.random() < 0.6:
            image = rotate(image, float(rng.normal(0, 9)), float(rng.normal(0, 0.06)))
        if rng.random() < 0.8 * self.strength:
            image = light(image, rng)
        if rng.random() < 0.2 * self.strength:
            image = infrared(image, rng)
        return image

    def _camera(self, image: Image, rng: Generator) -> Image:
        """Apply low resolution, blur, noise and compression, each at random."""
        if rng.random() < 0.65 * self.strength:
            face = float(np.exp(rng.uniform(np.log(self.smallest), np.log(60.0))))
            side = round(face * (1 + 2 * self.margin))
            if side < min(image.shape[:2]):
                image = downscale(image, side, rng)
        if rng.random() < 0.25 * self.strength:
            image = blur(image, rng)
        if rng.random() < 0.06 * self.strength:
            image = dim(image, rng)
        if rng.random() < 0.3 * self.strength:
            image = noise(image, rng)
        if rng.random() < 0.35 * self.strength:
            image = jpeg(image, rng)
        return image
