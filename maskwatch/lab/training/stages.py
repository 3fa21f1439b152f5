"""The stages that follow the training, each of which takes up to minutes, and their progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

_PART: Final = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stage:
    """Progress within a stage: completed steps; `total` is 0 for a stage without steps."""

    text: str
    done: int = 0
    total: int = 0


OnStage = Callable[[Stage], None]


def unreported(_stage: Stage) -> None:
    """Drop the progress."""


def with_progress(items: Sequence[T], text: str, on_stage: OnStage) -> Iterator[T]:
    """Yield `items`; report the beginning, and each item after it was processed."""
    on_stage(Stage(text, 0, len(items)))
    for done, item in enumerate(items, start=1):
        yield item
        on_stage(Stage(text, done, len(items)))


def in_parts(
    predict: Callable[[npt.NDArray[np.uint8]], Any],
    images: npt.NDArray[np.uint8],
    text: str,
    on_stage: OnStage,
) -> npt.NDArray[np.float32]:
    """Return what `predict` returns for all images (n, size, size, 3), called on a few at a time."""
    parts = [images[i : i + _PART] for i in range(0, max(1, len(images)), _PART)]
    return np.concatenate([predict(part) for part in with_progress(parts, text, on_stage)])
