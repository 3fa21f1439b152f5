"""Samples training batches: balanced by class and source, and reproducible.

Each class has a fixed share. Within a class, a source's share is proportional to the square root of
its size; masks painted onto faces of any source keep a source from predicting its label. Batch `k`
depends only on the seed and on `k`, so a resumed run gets exactly the batches of a run never stopped.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Queue
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from maskwatch.lab.training import occlude
from maskwatch.lab.training.augment import Augment, classic, compress_h264
from maskwatch.lab.training.dataset import Photo
from maskwatch.lab.truth import Wear
from maskwatch.vision.preprocess import resize

if TYPE_CHECKING:
    from numpy.random import Generator

    from maskwatch.domain import Detection
    from maskwatch.domain.frame import Image

CLASS_SHARE: Final = (0.40, 0.48, 0.12)
_PAINTED: Final = {0: 0.08, 1: 0.14, 2: 0.30}  # share of a class painted onto faces without a mask
_BOXED_WEIGHT: Final = 2.0  # faces of whole photographs resemble those in serving
_COMPRESSED: Final = 0.6  # share of the batches with crops compressed by H.264
_COMPRESSED_CROPS: Final = 12
_COMPRESSED_SIDES: Final = (16, 24, 32, 48, 64)
_OBSTRUCTED: Final = {0: 0.06, 1: 0.16, 2: 0.06}  # share of a class with an obstacle before the face
_TURNED_COPIES: Final = 3  # of a turned face without a mask: collections have too few
# Hands and held objects caused most false masks.
_OCCLUDERS: Final = (
    *(occlude.hand, occlude.hand, occlude.held, occlude.held),
    *(occlude.beard, occlude.scarf, occlude.glasses),
)


@dataclass(frozen=True, slots=True)
class Batch:
    """uint8 RGB crops (n, size, size, 3) and their labels (n,)."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


def landmarks(face: Detection) -> npt.NDArray[np.float32]:
    """Return the five landmarks of `face` as float32 (5, 2)."""
    return np.array([(p.x, p.y) for p in face.landmarks], np.float32)


class Sampler:
    """Samples batches of `photos`; `plain` uses the paper's augmentation and no balancing."""

    def __init__(
        self, photos: Sequence[Photo], augment: Augment, *, batch: int, seed: int, plain: bool = False
    ) -> None:
        self._augment, self._batch, self._seed, self._plain = augment, batch, seed, plain
        self._photos = list(photos)
        self._pools: dict[int, dict[str, list[Photo]]] = defaultdict(lambda: defaultdict(list))
        for photo in photos:
            turned = photo.label == 1 and photo.face is not None and not _paintable(photo)
            self._pools[photo.label][photo.source] += [photo] * (_TURNED_COPIES if turned else 1)
        self._labels = sorted(self._pools)
        share = np.array([CLASS_SHARE[label] for label in self._labels])
        self._class_share = share / share.sum()
        self._bare = [p for p in photos if p.label == 1 and _paintable(p)]
        # An obstacle must not show a mask, which would contradict the label.
        self._obstacles = [p for p in photos if p.label == 1]

    @property
    def prior(self) -> dict[int, float]:
        """Share of each label among the sampled crops."""
        if self._plain:
            count = Counter(photo.label for photo in self._photos)
            return {label: n / len(self._photos) for label, n in sorted(count.items())}
        return dict(zip(self._labels, map(float, self._class_share), strict=True))

    def batch(self, number: int) -> Batch:
        """Return batch `number`; the same number always gives the same batch."""
        rng = np.random.default_rng([self._seed, number])
        draw = self._draw_plain if self._plain else self._draw
        crops, labels = zip(*(draw(rng) for _ in range(self._batch)), strict=True)
        images = list(crops)
        if not self._plain and rng.random() < _COMPRESSED * self._augment.strength:
            self._compress(images, rng)
        size = self._augment.size
        stacked = np.stack([resize(image, size)[:, :, ::-1] for image in images])
        return Batch(stacked, np.array(labels, np.int64))

    def _compress(self, images: list[Image], rng: Generator) -> None:
        """Compress some of `images` with H.264, at the size of a distant face."""
        chosen = rng.choice(len(images), min(_COMPRESSED_CROPS, len(images)), replace=False)
        side = int(rng.choice(_COMPRESSED_SIDES))
        tiles = compress_h264([resize(images[i], side) for i in chosen], rng)
        for index, tile in zip(chosen, tiles, strict=True):
            images[index] = tile

    def _draw(self, rng: Generator) -> tuple[Image, int]:
        label = self._labels[int(rng.choice(len(self._labels), p=self._class_share))]
        if self._bare and rng.random() < _PAINTED[label]:
            return self._crop(*self._painted(label, rng), rng), label
        pools = self._pools[label]
        names = sorted(pools)
        weight = np.sqrt([len(pools[name]) for name in names])
        weight *= [_BOXED_WEIGHT if pools[name][0].box is not None else 1.0 for name in names]
        pool = pools[names[int(rng.choice(len(names), p=weight / weight.sum()))]]
        photo = pool[int(rng.integers(len(pool)))]
        return self._crop(photo, photo.image, rng), label

    def _draw_plain(self, rng: Generator) -> tuple[Image, int]:
        photo = self._photos[int(rng.integers(len(self._photos)))]
        return classic(photo.image, self._augment.size, rng), photo.label

    def _painted(self, label: int, rng: Generator) -> tuple[Photo, Image]:
        """Return a photo without a mask, and its picture with a painted mask (label 1: an occluder)."""
        photo = self._bare[int(rng.integers(len(self._bare)))]
        assert photo.face is not None
        marks = landmarks(photo.face)
        if label == 1:
            return photo, _OCCLUDERS[int(rng.integers(len(_OCCLUDERS)))](photo.image, marks, rng)
        wear = Wear.MASKED if label == 0 else (Wear.UNDER_NOSE, Wear.ON_CHIN)[int(rng.integers(2))]
        return photo, occlude.paint_mask(photo.image, marks, wear, rng)

    def _crop(self, photo: Photo, image: Image, rng: Generator) -> Image:
        """Return an augmented crop: by the annotated or the detected box, or the whole picture."""
        obstacle = None
        if self._obstacles and rng.random() < _OBSTRUCTED[photo.label] * self._augment.strength:
            obstacle = self._obstacles[int(rng.integers(len(self._obstacles)))].image
        if photo.box is not None:
            return self._augment.face(image, photo.box, rng, obstacle)
        if photo.face is not None and rng.random() < 0.55:
            return self._augment.face(image, photo.face.box, rng, obstacle)
        return self._augment.whole(image, rng, obstacle)


def _paintable(photo: Photo) -> bool:
    return photo.face is not None and occlude.frontal(landmarks(photo.face))


def prefetch(sampler: Sampler, first: int, last: int, threads: int = 1) -> Iterator[Batch]:
    """Yield batches `first` to `last` (excluded) in order, computed ahead in `threads` threads.

    Closing the iterator ends the threads.
    """
    queues: list[Queue[Batch | BaseException]] = [Queue(maxsize=4) for _ in range(threads)]
    stop = threading.Event()
    workers = [
        threading.Thread(
            target=_produce, args=(sampler, range(first + i, last, threads), queue, stop), daemon=True
        )
        for i, queue in enumerate(queues)
    ]
    for worker in workers:
        worker.start()
    try:
        for number in range(first, last):
            batch = queues[(number - first) % threads].get()
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        stop.set()
        _drain(queues)
        for worker in workers:
            worker.join()


def _produce(
    sampler: Sampler, numbers: range, queue: Queue[Batch | BaseException], stop: threading.Event
) -> None:
    try:
        for number in numbers:
            batch = sampler.batch(number)
            if stop.is_set():
                return
            queue.put(batch)
    except BaseException as error:  # noqa: BLE001 - passed to the consumer, which raises it
        queue.put(error)


def _drain(queues: list[Queue[Batch | BaseException]]) -> None:
    """Empty the queues, so that a producer blocked in `put` can end."""
    for queue in queues:
        while not queue.empty():
            queue.get_nowait()
