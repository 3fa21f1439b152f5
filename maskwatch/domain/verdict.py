"""The reading of a face in one frame, and the verdict about a person over time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The decision about a person; UNKNOWN where the evidence does not suffice."""

    MASK = "mask"
    NO_MASK = "no_mask"
    INCORRECT = "incorrect"
    UNKNOWN = "unknown"


class GateReason(StrEnum):
    """Why a detection was counted but not judged."""

    TOO_SMALL = "too_small"
    BLURRED = "blurred"
    TURNED_AWAY = "turned_away"
    TOO_DARK = "too_dark"
    CUT_OFF = "cut_off"
    LOW_SCORE = "low_score"


@dataclass(frozen=True, slots=True)
class MaskLogits:
    """Class scores of the classifier, calibrated (divided by the temperature), in nats.

    Only differences are meaningful: `mask - no_mask` is the log-odds of a mask under the training
    prior. `incorrect` is None for a model of two classes.
    """

    mask: float
    no_mask: float
    incorrect: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One classified crop, or the reason why it was not classified."""

    logits: MaskLogits | None
    gate: GateReason | None = None

    def __post_init__(self) -> None:
        if (self.logits is None) == (self.gate is None):
            raise ValueError("a reading has logits or a gate reason, exactly one of them")
