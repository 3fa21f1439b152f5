"""What the kinds of scenes share: their register, paths through a room, rooms, usual visitors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from maskwatch.lab.scenes.room import Block, Panel, Place, Side
from maskwatch.lab.scenes.scene import Conditions, Figure, Scene, Step
from maskwatch.lab.truth import Wear

_WEARS = (Wear.BARE, Wear.MASKED)
_TAIL = 1.0
"""Seconds that a clip goes on after the last person has left."""

Kind = Callable[[np.random.Generator], Scene]
"""Makes a scene from a seeded generator; its docstring is the scene's description."""


class Register:
    """Kinds by name, added by its decorator."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}

    def add(self, build: Kind) -> Kind:
        """Add a kind under the name of its function."""
        self.kinds[build.__name__] = build
        return build


def walk(
    rng: np.random.Generator,
    start: float,
    lane: float,
    *,
    pace: float = 1.2,
    far: float | None = None,
    near: float = 1.15,
) -> tuple[Step, ...]:
    """Return a path towards the camera and past it; `lane` is from -1 (left) to 1 (right)."""
    far = float(rng.uniform(6.5, 8.5)) if far is None else far
    angles = lane * 0.24 + rng.uniform(-0.05, 0.05, 3)
    depths = (far, (far + near) * 0.45, near)
    pace *= float(rng.uniform(0.92, 1.1))
    steps = [Step(start, float(angles[0]) * far, far)]
    for angle, z in zip(angles[1:], depths[1:], strict=True):
        x = float(angle) * z
        away = float(np.hypot(x - steps[-1].x, z - steps[-1].z))
        steps.append(Step(steps[-1].at + away / pace, x, z))
    return tuple(steps)


def stop(path: tuple[Step, ...], z: float, seconds: float) -> tuple[tuple[Step, ...], float]:
    """Return the path with a stop of `seconds` at the depth `z`, and when the stop starts."""
    for i, (before, after) in enumerate(pairwise(path)):
        if after.z <= z <= before.z:
            part = (before.z - z) / (before.z - after.z)
            at = before.at + part * (after.at - before.at)
            x = before.x + part * (after.x - before.x)
            later = tuple(replace(step, at=step.at + seconds) for step in path[i + 1 :])
            return (*path[: i + 1], Step(at, x, z), Step(at + seconds, x + 0.02, z - 0.02), *later), at
    raise ValueError(f"the path does not pass the depth {z}")


def any_wear(rng: np.random.Generator) -> Wear:
    """Return bare or masked, with equal probability."""
    return _WEARS[int(rng.random() < 0.5)]


def both_wears(rng: np.random.Generator) -> tuple[Wear, Wear]:
    """Return bare and masked in random order."""
    bare, masked = _WEARS
    return (bare, masked) if rng.random() < 0.5 else (masked, bare)


def _room(rng: np.random.Generator, *blocks: Block) -> Place:
    """Return a room of random colours and width."""
    tone = rng.uniform(165, 212)
    wall = tuple(float(v) for v in tone + rng.uniform(-7, 7, 3))
    ground = rng.uniform(95, 160)
    floor = tuple(float(v) for v in ground + rng.uniform(-5, 5, 3))
    return Place(
        half_width=float(rng.uniform(2.4, 3.4)),
        depth=float(rng.uniform(10, 14)),
        wall=(wall[0], wall[1], wall[2]),
        floor=(floor[0], floor[1], floor[2]),
        tile=float(rng.choice((0.4, 0.6, 0.9))),
        doors=((Side.LEFT, float(rng.uniform(6.5, 9))), (Side.RIGHT, float(rng.uniform(6.5, 9)))),
        blocks=blocks,
    )


def shelves(rng: np.random.Generator, count: int, depth: float) -> tuple[Panel, ...]:
    """Return up to two shelves, one along each side wall of a room of this depth."""
    sides = (Side.LEFT, Side.RIGHT) if rng.random() < 0.5 else (Side.RIGHT, Side.LEFT)
    return tuple(
        Panel(side, float(rng.uniform(7.2, max(7.3, min(depth - 0.9, 9.0)))), 1.0, 1.5, 2.0)
        for side in sides[:count]
    )


def scene_of(
    kind: str, rng: np.random.Generator, *figures: Figure, blocks: tuple[Block, ...] = ()
) -> Scene:
    """Return a scene of these people, long enough for all of them, in a random room."""
    last = max((figure.path[-1].at for figure in figures), default=8.0)
    place = _room(rng, *blocks)
    return Scene(
        name=kind,
        kind=kind,
        seconds=round(last + _TAIL, 1),
        figures=figures,
        place=place,
        shelves=shelves(rng, int(rng.integers(0, 3)), place.depth),
        mount=float(rng.uniform(2.2, 2.5)),
        tilt=float(rng.uniform(12, 14.5)),
        field_of_view=float(rng.uniform(40, 46)),
    )


def shallow(scene: Scene, depth: float) -> Scene:
    """Return the scene in a room of this depth, so that panels on its back wall are close enough."""
    shelves = tuple(one for one in scene.shelves if one.along + one.width / 2 < depth)
    return replace(scene, place=replace(scene.place, depth=depth, doors=()), shelves=shelves)


def everyday(kind: str, rng: np.random.Generator, conditions: Conditions) -> Scene:
    """Return two visitors, one bare and one masked, under these conditions."""
    right, left = both_wears(rng)
    first = Figure(walk(rng, 0.3, -0.6), left)
    second = Figure(walk(rng, 2.2, 0.6), right)
    return replace(scene_of(kind, rng, first, second), conditions=conditions)
