"""The camera between room and stream: lens, sensor, flicker, rain, infra-red."""

from __future__ import annotations

import math

import cv2
import numpy as np

from maskwatch.lab.arrays import Floats, Image
from maskwatch.lab.scenes.scene import Conditions


class Sensor:
    """Converts rendered pictures to the frames that a camera in these conditions encodes."""

    def __init__(
        self, conditions: Conditions, size: tuple[int, int], rate: float, rng: np.random.Generator
    ) -> None:
        self._conditions, self._size, self._rate = conditions, size, rate
        self._rng = rng
        self._tone = _tone(conditions)
        self._grain = _grain(rng, size, conditions.noise * (1.5 if conditions.infrared else 1.0))
        self._shift = np.zeros(2)
        self._illumination = _illumination(size) if conditions.infrared else None

    def expose(self, picture: Image, at: float) -> Image:
        """Return the frame as planar YUV 4:2:0, uint8 (height * 3 / 2, width).

        `picture` is uint8 BGR; `at` the time in seconds.
        """
        picture = self._lens(picture)
        picture = cv2.LUT(picture, self._tone)
        if self._conditions.flicker:
            picture = self._flickering(picture, at)
        if self._conditions.rain:
            picture = self._rainy(picture)
        if self._conditions.infrared:
            picture = self._infrared(picture)
        return self._noisy(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420))

    def _lens(self, picture: Image) -> Image:
        scale = self._size[0] / 1280
        if self._conditions.shake:
            self._shift = 0.72 * self._shift + self._rng.normal(0, self._conditions.shake * scale, 2)
            move = np.array([[1, 0, self._shift[0]], [0, 1, self._shift[1]]], np.float32)
            picture = cv2.warpAffine(picture, move, self._size, borderMode=cv2.BORDER_REPLICATE)
        sigma = self._conditions.blur * max(scale, 0.6)
        return cv2.GaussianBlur(picture, (3, 3) if sigma < 0.8 else (0, 0), sigma)

    def _flickering(self, picture: Image, at: float) -> Image:
        """Return the picture under lamps that flicker with the mains: moving bands."""
        rows = np.arange(picture.shape[0], dtype=np.float32) / picture.shape[0]
        beat = np.sin(2 * math.pi * (1.3 * rows + 2.1 * at)) + 0.6 * math.sin(2 * math.pi * 7.3 * at)
        gain = (1 + self._conditions.flicker * 0.5 * beat).astype(np.float32)
        field = np.broadcast_to(gain[:, None, None], picture.shape)
        return cv2.multiply(picture, np.ascontiguousarray(field), dtype=cv2.CV_8U)

    def _rainy(self, picture: Image) -> Image:
        width, height = self._size
        drops: Image = np.zeros((height, width), np.uint8)
        for _ in range(self._conditions.rain):
            x, y = self._rng.uniform(0, width), self._rng.uniform(-0.1, 1) * height
            long = self._rng.uniform(0.03, 0.09) * height
            end = (round(x + 0.12 * long), round(y + long))
            cv2.line(drops, (round(x), round(y)), end, int(self._rng.integers(40, 110)), 1, cv2.LINE_AA)
        drops = cv2.GaussianBlur(drops, (3, 5), 0.8)
        return cv2.add(picture, cv2.cvtColor(drops, cv2.COLOR_GRAY2BGR))

    def _infrared(self, picture: Image) -> Image:
        """Return the picture of an infra-red camera: grey, bright skin, lit from the camera."""
        weights = np.array([[0.12, 0.2, 0.68]], np.float32)
        grey = cv2.transform(picture, weights)
        assert self._illumination is not None
        grey = cv2.multiply(grey, self._illumination, scale=1 / 200, dtype=cv2.CV_8U)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)

    def _noisy(self, planes: Image) -> Image:
        width, height = self._size
        grain = self._grain[int(self._rng.integers(len(self._grain)))]
        y, x = (int(v) for v in self._rng.integers(0, 48, 2))
        luma = planes[:height]
        cv2.add(luma, grain[y : y + height, x : x + width], dst=luma, dtype=cv2.CV_8U)
        if self._conditions.noise > 4 and not self._conditions.infrared:
            chroma = planes[height:]
            part = grain[x : x + height // 2, y : y + width]
            cv2.add(chroma, part // 3, dst=chroma, dtype=cv2.CV_8U)
        return planes


def _tone(c: Conditions) -> Image:
    """Return the sensor's response as a table (1, 256, 3): brightness, colour, a soft shoulder."""
    level = np.arange(256, dtype=np.float32) / 255
    gains = c.brightness * np.array((1 - 0.16 * c.warmth, 1.0, 1 + 0.13 * c.warmth), np.float32)
    lit = level[:, None] * gains[None, :]
    # Highlights are compressed, and black is slightly raised.
    lit = np.where(lit > 0.8, 0.8 + 0.2 * np.tanh((lit - 0.8) / 0.2), lit)
    result: Image = np.clip(255 * (0.02 + 0.98 * lit), 0, 255).astype(np.uint8)[None]
    return result


def _grain(rng: np.random.Generator, size: tuple[int, int], sigma: float) -> list[Floats]:
    """Return three fields of noise, larger than the picture, to crop at random offsets."""
    fields = []
    for _ in range(3):
        raw = rng.standard_normal((size[1] + 48, size[0] + 48)).astype(np.float32)
        soft = cv2.GaussianBlur(raw, (3, 3), 0.55)
        fields.append(np.round(soft * (sigma / float(soft.std()))).astype(np.int16))
    return fields


def _illumination(size: tuple[int, int]) -> Image:
    """Return how the camera's own lamps light each part of the picture, 0 to 255."""
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    away = np.hypot(x / size[0] - 0.5, 0.8 * (y / size[1] - 0.55))
    result: Image = np.clip(235 - 300 * away**1.6, 40, 255).astype(np.uint8)
    return result
