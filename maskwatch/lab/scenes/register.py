"""A table of the kinds of scenes, filled by a decorator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from maskwatch.lab.scenes.script import Scene

__all__ = ["Kind", "Register"]

Kind = Callable[[np.random.Generator], Scene]
"""Makes a scene from a seeded generator; the docstring's first line says what happens."""


class Register:
    """Kinds by name, in the order in which they were added."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}

    def add(self, build: Kind) -> Kind:
        """Add a kind under the name of its function."""
        self.kinds[build.__name__] = build
        return build
