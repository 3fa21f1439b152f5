"""Heads: cut out of portraits, and turned.

A head lies on a fixed canvas of about one pixel per millimetre, with its eyes level and at a fixed
position, so that masks, turning and lighting do not depend on the photograph. It is turned by
mapping it onto an ellipsoid; from about 62 degrees on the back of the head replaces it.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.domain import Detection
from maskwatch.errors import DataError, DependencyError
from maskwatch.lab.arrays import Colour, Floats, Image, Points, shade, smooth_noise, smoothstep
from maskwatch.lab.pictures import read_picture
from maskwatch.vision.faces import FaceDetector

CANVAS = (320, 384)
"""Width and height of a head's canvas in pixels."""
EYES = (160.0, 172.0)
"""Position of the middle between the eyes on the canvas."""
IPD = 64.0
"""Distance between the eyes on the canvas; people's is 63 mm, so a pixel is about a millimetre."""

FACE_GONE = 62.0
"""Yaw in degrees from which no face is visible."""
_MAX_YAW = 40.0
_CENTRE = (EYES[0], EYES[1] + 22.0)
_RADII = (84.0, 118.0)
_DETECT_AT = 640  # px: larger pictures are shrunk to this for face detection
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


@dataclass(frozen=True, slots=True)
class Head:
    """One cut-out head on the canvas.

    Attributes:
        name: of the portrait, for the ground truth.
        bgr: uint8 (384, 320, 3).
        alpha: float32 (384, 320), 0 to 1.
        landmarks: float32 (5, 2): eyes (image left first), nose tip, corners of the mouth.
        box: the detector's face box x1, y1, x2, y2 on the canvas.
        skin: mean colour of the cheeks, BGR.
        hair: mean colour above and beside the face, BGR.
    """

    name: str
    bgr: Image
    alpha: Floats
    landmarks: Points
    box: tuple[float, float, float, float]
    skin: Colour
    hair: Colour


def packaged_portraits() -> tuple[Path, ...]:
    """Return the installed public-domain portraits inside scikit-image and matplotlib."""
    portraits = (
        ("skimage", "data/astronaut.png"),
        ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    )
    specs = ((importlib.util.find_spec(package), inside) for package, inside in portraits)
    return tuple(
        Path(folder) / inside
        for spec, inside in specs
        if spec
        for folder in spec.submodule_search_locations or []
    )


@functools.cache
def default_heads() -> tuple[Head, ...]:
    """Return the public-domain portraits inside scikit-image and matplotlib, cut out.

    Raises DependencyError where neither package is installed.
    """
    heads = [head for path in packaged_portraits() for head in _heads_of(path)]
    if not heads:
        raise DependencyError(
            "no portraits: the scenes need scikit-image or matplotlib; install maskwatch[demo], "
            "or give a folder of portraits with --faces"
        )
    return tuple(heads)


def portrait_files(folder: Path, names: Sequence[str] | None = None) -> tuple[Path, ...]:
    """Return the images under `folder` in name order; `names` (relative to it) chooses them."""
    paths = [folder / name for name in names] if names is not None else sorted(folder.rglob("*"))
    return tuple(path for path in paths if path.suffix.lower() in _SUFFIXES)


def heads_from(folder: Path, names: Sequence[str] | None = None) -> tuple[Head, ...]:
    """Return a head for each image under `folder` with exactly one frontal face, in name order.

    `names` (relative to the folder) chooses the images. Raises DataError if there is no such image.
    """
    heads = [head for path in portrait_files(folder, names) for head in _heads_of(path)]
    if not heads:
        raise DataError(
            f"{folder}: no image here shows one frontal face of 60 pixels or more; "
            "give a folder of portraits"
        )
    return tuple(heads)


def faces_in(path: Path) -> list[Detection]:
    """Return the faces in the image at `path`; none if it is not an image."""
    image = _image(path)
    return [] if image is None else _faces(image)


def _image(path: Path) -> Image | None:
    try:
        return read_picture(path)
    except DataError:
        return None


def _heads_of(path: Path) -> list[Head]:
    image = _image(path)
    if image is None:
        return []
    faces = _faces(image)
    if len(faces) != 1 or not _usable(faces[0], image):
        return []
    return [cut_out(image, faces[0], path.stem)]


def _faces(image: Image) -> list[Detection]:
    """Return the faces in a picture of any size, in its pixels."""
    shrink = min(1.0, _DETECT_AT / max(image.shape[:2]))
    small: npt.NDArray[np.uint8] = cv2.resize(
        image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA
    ).astype(np.uint8, copy=False)
    return [face.scaled(1 / shrink) for face in _detector().detect(small)]


@functools.cache
def _detector() -> FaceDetector:
    return FaceDetector(0.6)


def _marks(face: Detection) -> Points:
    """Return float32 (5, 2): eyes (image left first), nose tip, corners of the mouth."""
    return np.array([(point.x, point.y) for point in face.landmarks], np.float32)


def _usable(face: Detection, image: Image) -> bool:
    """Return whether the face is large, frontal and whole, with room for hair and neck."""
    x1, y1, x2, y2 = face.box.x1, face.box.y1, face.box.x2, face.box.y2
    width, height = face.box.width, face.box.height
    eyes, nose = _marks(face)[:2], _marks(face)[2]
    span = float(np.linalg.norm(eyes[1] - eyes[0]))
    turned = abs(float(nose[0] - eyes[:, 0].mean())) / max(span, 1.0)
    room = (
        x1 > 0.12 * width
        and image.shape[1] - x2 > 0.12 * width
        and y1 > 0.18 * height
        and image.shape[0] - y2 > 0.12 * height
    )
    return bool(height >= 60 and turned < 0.22 and room and face.score > 0.8)


def cut_out(image: Image, face: Detection, name: str) -> Head:
    """Return the head around `face` in `image` (uint8 BGR), mapped to the canvas and cut out."""
    turn = _to_canvas(face)
    bgr = cv2.warpAffine(image, turn, CANVAS, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    landmarks = cv2.transform(_marks(face)[None], turn)[0].astype(np.float32)
    ends = (face.box.x1, face.box.x2), (face.box.y1, face.box.y2)
    corners = np.array([[(x, y) for y in ends[1] for x in ends[0]]], np.float32)
    (left, top), (right, bottom) = _extent(cv2.transform(corners, turn)[0])
    box = (left, top, right, bottom)
    inside = cv2.warpAffine(np.ones(image.shape[:2], np.uint8), turn, CANVAS)
    alpha = _matte(bgr, box, inside)
    skin = _mean(bgr, _ellipse(landmarks[2] + np.array((0, 4), np.float32), (40, 26)))
    crown = alpha * (_ellipse((EYES[0], top - 12), (60, 22)) > 0)
    hair = _mean(bgr, crown) if crown.sum() > 200 else (40.0, 45.0, 55.0)
    return Head(name, _clean(bgr, alpha), alpha, landmarks, box, skin, hair)


def _extent(points: Points) -> tuple[tuple[float, float], tuple[float, float]]:
    low, high = points.min(axis=0), points.max(axis=0)
    return (float(low[0]), float(low[1])), (float(high[0]), float(high[1]))


def _to_canvas(face: Detection) -> Floats:
    """Return the 2x3 similarity that moves the eyes to their position, level."""
    marks = _marks(face)
    (ax, ay), (bx, by) = marks[:2]
    mouth, middle = marks[3:].mean(axis=0), marks[:2].mean(axis=0)
    # A half-turned face has narrow eyes but keeps its length: take the larger estimate.
    span = max(float(np.hypot(bx - ax, by - ay)), 0.9 * float(np.linalg.norm(mouth - middle)))
    angle = np.degrees(np.arctan2(by - ay, bx - ax))
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), angle, IPD / span)
    turn[:, 2] += np.asarray(EYES) - middle
    result: Floats = turn.astype(np.float32)
    return result


def _ellipse(centre: Points | tuple[float, float], radii: tuple[float, float]) -> Floats:
    mask = np.zeros(CANVAS[::-1], np.float32)
    middle = (round(float(centre[0])), round(float(centre[1])))
    cv2.ellipse(mask, middle, (round(radii[0]), round(radii[1])), 0, 0, 360, 1.0, -1)
    return mask


def _mean(bgr: Image, weight: Floats) -> Colour:
    total = float(weight.sum()) or 1.0
    b, g, r = (float((bgr[..., i] * weight).sum()) / total for i in range(3))
    return b, g, r


def _matte(bgr: Image, box: tuple[float, float, float, float], inside: Image) -> Floats:
    """Return the head's matte: GrabCut between certain face and certain background, softened.

    `inside` is 0 where the canvas reaches beyond the photograph.
    """
    x1, y1, x2, y2 = box
    cx, width, height = (x1 + x2) / 2, x2 - x1, y2 - y1
    labels = np.full(CANVAS[::-1], cv2.GC_BGD, np.uint8)
    around = _ellipse((cx, y1 + 0.36 * height), (0.96 * width, 0.98 * height))
    labels[around > 0] = cv2.GC_PR_BGD
    near = _ellipse((cx, y1 + 0.38 * height), (0.68 * width, 0.8 * height))
    labels[near > 0] = cv2.GC_PR_FGD
    neck = np.zeros(CANVAS[::-1], bool)
    neck[int(y2 - 0.1 * height) :, int(cx - 0.3 * width) : int(cx + 0.3 * width)] = True
    labels[neck & (labels != cv2.GC_BGD)] = cv2.GC_PR_FGD
    labels[int(y2 + 0.34 * height) :] = cv2.GC_BGD
    labels[inside == 0] = cv2.GC_BGD
    sure = _ellipse((cx, y1 + 0.5 * height), (0.46 * width, 0.54 * height))
    labels[sure > 0] = cv2.GC_FGD
    cv2.setRNGSeed(0)  # GrabCut's clustering draws from OpenCV's generator
    inner, outer = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(bgr, labels, (0, 0, 1, 1), inner, outer, 4, cv2.GC_INIT_WITH_MASK)
    kept = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    # Background that looks like hair extends the cut to the rim: then keep only what is near.
    rim = (around > 0) & (cv2.erode(around, np.ones((9, 9))) == 0)
    if kept[rim].mean() > 0.06:
        kept &= (near > 0).astype(np.uint8)
    return _soften(_largest(kept), y2, height)


def _largest(kept: Image) -> Image:
    """Return the largest piece of a 0/1 mask, with its holes closed and thin parts removed."""
    round_brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    kept = cv2.morphologyEx(kept, cv2.MORPH_OPEN, round_brush)
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(kept)
    if len(stats) > 1:
        kept = (pieces == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    outlines, _ = cv2.findContours(kept, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(kept), outlines, -1, 1, -1)


def _soften(kept: Image, chin: float, height: float) -> Floats:
    """Return the mask as a matte: edge a little inside and soft, fading out below the chin."""
    alpha = cv2.GaussianBlur(kept.astype(np.float32), (0, 0), 2.6)
    alpha = smoothstep(alpha, 0.35, 0.95)
    rows = np.arange(CANVAS[1], dtype=np.float32)
    fade = smoothstep(rows, chin + 0.3 * height, chin + 0.08 * height)
    return alpha * fade[:, None]


def _clean(bgr: Image, alpha: Floats) -> Image:
    """Return the picture with the old background's colour removed from the matte's edge."""
    solid = (alpha > 0.97).astype(np.uint8)
    weight = cv2.GaussianBlur(solid.astype(np.float32), (0, 0), 4)
    spread: Floats = cv2.GaussianBlur(bgr.astype(np.float32) * solid[..., None], (0, 0), 4)
    spread /= weight[..., None] + 1e-4
    inside = cv2.GaussianBlur(solid.astype(np.float32), (0, 0), 1.2)[..., None]
    mixed = bgr * inside + spread * (1 - inside)
    result: Image = np.clip(np.where(weight[..., None] > 1e-3, mixed, bgr), 0, 255).astype(np.uint8)
    return result


@functools.lru_cache(maxsize=4)
def _globe(level: int) -> tuple[Floats, Floats, Floats]:
    """Return x, y from the head's centre and its depth there, in pixels of pyramid `level`."""
    step = 2**level
    width, height = CANVAS[0] // step, CANVAS[1] // step
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x = (x + 0.5) - _CENTRE[0] / step
    y = (y + 0.5) - _CENTRE[1] / step
    inside = 1 - (x / (_RADII[0] / step)) ** 2 - (y / (_RADII[1] / step)) ** 2
    depth = 0.8 * (_RADII[0] / step) * np.sqrt(np.clip(inside, 0, 1))
    return x, y, depth.astype(np.float32)


def turned(sprite: Image, level: int, yaw: float, pitch: float) -> Image:
    """Return the head (uint8, any channels, at pyramid `level`) turned by degrees.

    Positive `yaw` turns it towards the right of the picture, positive `pitch` down.
    """
    x, y, depth = _globe(level)
    a = math.radians(float(np.clip(yaw, -_MAX_YAW, _MAX_YAW)))
    b = math.radians(float(np.clip(pitch, -25, 25)))
    step = 2**level
    centre = (_CENTRE[0] / step - 0.5, _CENTRE[1] / step - 0.5)
    across = x * math.cos(a) - depth * math.sin(a) + centre[0]
    down = y * math.cos(b) - depth * math.sin(b) + centre[1]
    return cv2.remap(sprite, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def back_of(head: Head) -> Image:
    """Return the back of a head: its silhouette filled with hair, uint8 BGR."""
    rng = np.random.default_rng(zlib.crc32(head.name.encode()))
    strands = smooth_noise(rng, (CANVAS[0], CANVAS[1] // 8), 5)
    strands = cv2.resize(strands, CANVAS, interpolation=cv2.INTER_CUBIC)
    solid = cv2.GaussianBlur(head.alpha, (0, 0), 14) * 60
    light = shade(solid + 0.8 * strands, (-0.2, -0.8, 0.9), 1.0)
    hair = np.asarray(head.hair, np.float32) * (0.45 + 0.6 * light)[..., None]
    rows = np.arange(CANVAS[1], dtype=np.float32)[:, None, None]
    nape = np.clip((rows - head.box[3] + 12) / 16, 0, 1)
    picture = hair * (1 - nape) + np.asarray(head.skin, np.float32) * 0.75 * nape
    result: Image = np.clip(picture, 0, 255).astype(np.uint8)
    return result
