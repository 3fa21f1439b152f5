"""Crops are sampled by class and source, and reproducibly."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskwatch.domain import Box, Detection, Point
from maskwatch.lab.training.augment import Augment
from maskwatch.lab.training.dataset import Photo, load_crops
from maskwatch.lab.training.groups import fingerprint
from maskwatch.lab.training.prepare import with_faces
from maskwatch.lab.training.sampler import CLASS_SHARE, Sampler, prefetch
from maskwatch.vision.manifest import LABELS
from tests.fakes.training_data import picture

FACE = Detection(
    Box(8, 4, 40, 44), 0.9, (Point(18, 18), Point(30, 18), Point(24, 25), Point(19, 32), Point(29, 32))
)


def photo(label: int, source: str, number: int = 0, face: Detection | None = None) -> Photo:
    """A made picture of a class and source."""
    image = picture(LABELS[label], number)
    name = f"{source}/{label}/{number}"
    return Photo(image, label, source, name, name, None, "train", 48.0, fingerprint(image), face)


def test_classes_have_fixed_shares() -> None:
    """Forty masked against two incorrect ones."""
    photos = [photo(0, "a", i) for i in range(40)] + [photo(1, "a", i) for i in range(10)]
    photos += [photo(2, "a", i) for i in range(2)]
    sampler = Sampler(photos, Augment(32, 0.15, strength=0), batch=600, seed=1)
    drawn = Counter(sampler.batch(0).labels.tolist())
    for label, share in enumerate(CLASS_SHARE):
        assert drawn[label] / 600 == pytest.approx(share, abs=0.06)
    assert sampler.prior == pytest.approx(dict(enumerate(CLASS_SHARE)))


def test_the_shares_of_two_classes_sum_to_one() -> None:
    """The prior of a binary data set sums to one."""
    sampler = Sampler([photo(0, "a"), photo(1, "a")], Augment(32, 0.15), batch=4, seed=1)
    assert sum(sampler.prior.values()) == pytest.approx(1)
    assert sampler.prior[1] > sampler.prior[0]


def test_a_batch_depends_only_on_its_number_and_the_seed() -> None:
    """Order and repetition do not matter; another seed gives another batch."""
    photos = [photo(label, "a", i, FACE) for label in range(3) for i in range(4)]
    one = Sampler(photos, Augment(32, 0.15), batch=12, seed=1)
    first = one.batch(3)
    one.batch(0)
    assert (one.batch(3).images == first.images).all()
    assert (one.batch(3).labels == first.labels).all()
    assert (Sampler(photos, Augment(32, 0.15), batch=12, seed=2).batch(3).images != first.images).any()
    assert first.images.shape == (12, 32, 32, 3)
    assert first.images.dtype == np.uint8


def test_masks_are_painted_on_faces_of_a_source_without_masks() -> None:
    """The source must not predict the label."""
    sampler = Sampler(
        [photo(0, "masks", 1), *(photo(1, "bare", i, FACE) for i in range(3))],
        Augment(32, 0.15), batch=4, seed=1,
    )  # fmt: skip
    painted, image = sampler._painted(0, np.random.default_rng(0))
    assert painted.source == "bare"
    assert (image != painted.image).any()


def test_plain_sampling_has_the_balance_of_the_data() -> None:
    photos = [photo(0, "a", i) for i in range(9)] + [photo(1, "a")]
    sampler = Sampler(photos, Augment(32, 0.15), batch=400, seed=1, plain=True)
    assert sampler.prior == {0: 0.9, 1: 0.1}
    assert (sampler.batch(0).labels == 0).mean() == pytest.approx(0.9, abs=0.06)


def test_a_turned_face_counts_once_in_the_prior_of_the_plain_recipe() -> None:
    """The prior of the paper's recipe sums to one, independent of detected faces."""
    middle = Point(10, 10)
    turned = Detection(Box(0, 0, 20, 20), 0.9, (middle,) * 5)  # type: ignore[arg-type]
    photos = [photo(0, "a", i) for i in range(3)] + [photo(1, "a", 9, turned)]
    assert Sampler(photos, Augment(32, 0.15), batch=4, seed=1, plain=True).prior == {0: 0.75, 1: 0.25}


@pytest.mark.parametrize("threads", [1, 3])
def test_prefetch_keeps_the_order_and_ends_its_threads(threads: int) -> None:
    """The threads end also if the consumer stops early."""
    sampler = Sampler([photo(0, "a"), photo(1, "a")], Augment(32, 0.15), batch=2, seed=1)
    before = threading.active_count()
    made = list(prefetch(sampler, 2, 7, threads))
    assert all((b.images == sampler.batch(2 + i).images).all() for i, b in enumerate(made))
    assert len(made) == 5
    early = prefetch(sampler, 0, 100, threads)
    next(early)
    early.close()  # type: ignore[attr-defined]  # it is a generator
    assert threading.active_count() == before


def test_an_error_in_a_sampling_thread_is_raised() -> None:
    """The consumer must not wait for a failed thread."""
    sampler = Sampler([photo(0, "a"), photo(1, "a")], Augment(32, 0.15), batch=2, seed=1)
    sampler._labels = []
    with pytest.raises(ValueError, match="positive"):
        list(prefetch(sampler, 0, 3))


def test_thin_pictures_are_searched_and_sampled(faces: Callable[..., Path]) -> None:
    """A line of pixels is no error."""
    folder = faces(without_mask=2)
    for number, shape in enumerate(((2, 1000, 3), (401, 1, 3), (1, 190, 3), (1, 1, 3))):
        image = np.full(shape, 90, np.uint8)
        cv2.imwrite(str(folder / f"without_mask/thin{number}.png"), image)
    data = load_crops(folder)
    assert (len(data.photos), data.unreadable) == (6, ())
    sampler = Sampler(with_faces(data.photos), Augment(32, 0.15), batch=48, seed=1)
    assert sampler.batch(0).images.shape == (48, 32, 32, 3)
