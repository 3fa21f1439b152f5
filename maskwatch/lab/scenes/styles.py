"""The masks that people wear, how they wear them, and how often each is met."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from maskwatch.lab.scenes.arrays import Colour

__all__ = ["COLOURS", "MaskStyle", "random_style"]


class MaskStyle(StrEnum):
    """The masks that people wear."""

    SURGICAL_BLUE = "surgical_blue"
    SURGICAL_WHITE = "surgical_white"
    SURGICAL_BLACK = "surgical_black"
    FFP2_WHITE = "ffp2_white"
    FFP2_BLACK = "ffp2_black"
    CLOTH_BLACK = "cloth_black"
    CLOTH_GREY = "cloth_grey"
    CLOTH_NAVY = "cloth_navy"
    CLOTH_RED = "cloth_red"
    DOTTED = "dotted"
    CHECKED = "checked"
    STRIPED = "striped"


COLOURS: dict[MaskStyle, Colour] = {
    MaskStyle.SURGICAL_BLUE: (208, 192, 152),
    MaskStyle.SURGICAL_WHITE: (226, 228, 226),
    MaskStyle.SURGICAL_BLACK: (42, 40, 40),
    MaskStyle.FFP2_WHITE: (232, 234, 236),
    MaskStyle.FFP2_BLACK: (38, 37, 38),
    MaskStyle.CLOTH_BLACK: (34, 32, 32),
    MaskStyle.CLOTH_GREY: (128, 124, 120),
    MaskStyle.CLOTH_NAVY: (84, 50, 36),
    MaskStyle.CLOTH_RED: (52, 44, 148),
    MaskStyle.DOTTED: (120, 70, 50),
    MaskStyle.CHECKED: (170, 170, 176),
    MaskStyle.STRIPED: (206, 210, 214),
}


_SHARES: dict[MaskStyle, float] = {
    MaskStyle.SURGICAL_BLUE: 6,
    MaskStyle.SURGICAL_WHITE: 3,
    MaskStyle.SURGICAL_BLACK: 2,
    MaskStyle.FFP2_WHITE: 4,
    MaskStyle.FFP2_BLACK: 1.5,
    MaskStyle.CLOTH_BLACK: 3,
    MaskStyle.CLOTH_GREY: 2,
    MaskStyle.CLOTH_NAVY: 1.5,
    MaskStyle.CLOTH_RED: 1,
    MaskStyle.DOTTED: 1,
    MaskStyle.CHECKED: 1,
    MaskStyle.STRIPED: 1,
}


def random_style(rng: np.random.Generator) -> MaskStyle:
    """Return a style about as often as it is met in the street."""
    styles, shares = list(_SHARES), np.array(list(_SHARES.values()))
    return styles[int(rng.choice(len(styles), p=shares / shares.sum()))]
