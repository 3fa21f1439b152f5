"""Scenes by name: those of the demo, and scenes of any kind drawn from a seed."""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from maskwatch.errors import UsageError
from maskwatch.lab.scenes.kind_parts import Kind
from maskwatch.lab.scenes.people import PEOPLE
from maskwatch.lab.scenes.room import Block, Panel, Place, Side
from maskwatch.lab.scenes.scene import Figure, Poster, Scene, Step, WearChange
from maskwatch.lab.scenes.settings import SETTINGS
from maskwatch.lab.truth import Wear

DEMO = ("reception", "entrance", "hall")
"""Names of the demo's scenes, one for each camera."""
KINDS: dict[str, Kind] = {**PEOPLE.kinds, **SETTINGS.kinds}
"""Every kind; a scene of a kind depends only on the kind's name and the seed."""


def demo_scenes() -> tuple[Scene, ...]:
    """Return the demo's scenes, 24 s each, in the order of `DEMO`."""
    return reception(), entrance(), hall()


def described() -> dict[str, str]:
    """Return every scene's name with one line about what happens in it."""
    builders: dict[str, Callable[..., Scene]] = {**_DEMO_SCENES, **KINDS}
    return {name: (build.__doc__ or "").strip().splitlines()[0] for name, build in builders.items()}


def scene_named(name: str, seed: int = 0) -> Scene:
    """Return the scene of that name; the details of a kind are drawn from `seed`.

    Raises UsageError for an unknown name.
    """
    if name in _DEMO_SCENES:
        return _DEMO_SCENES[name]()
    if name not in KINDS:
        close = difflib.get_close_matches(name, described(), 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(f"no scene is called {name!r}; {hint}`maskwatch scenes list` shows all")
    rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
    return replace(KINDS[name](rng), name=name)


def reception() -> Scene:
    """A bare visitor, a masked one, and a bare one who is hidden by a pillar for a second."""
    return Scene(
        name="reception",
        kind="demo",
        seconds=24,
        place=Place(blocks=(Block(0.52, 3.2, 0.4, 0.4, colour=(150, 158, 166)),)),
        figures=(
            Figure((Step(0.2, -1.3, 9.0), Step(5.2, -0.6, 3.4), Step(7.2, -0.3, 1.1)), face=0),
            Figure(
                (Step(5.5, -0.5, 9.5), Step(10.6, -0.3, 4.0), Step(13.4, -0.3, 1.1)),
                Wear.MASKED,
                face=1,
            ),
            Figure(
                (
                    Step(11.0, -0.3, 9.6),
                    Step(15.2, 1.55, 5.4),
                    Step(18.0, 0.95, 3.0),
                    Step(20.2, 0.3, 1.1),
                ),
                face=1,
            ),
        ),
    )


def entrance() -> Scene:
    """Two visitors together, one bare; then one who takes the mask off in front of the camera."""
    return Scene(
        name="entrance",
        kind="demo",
        seconds=24,
        place=Place(
            half_width=3.1,
            depth=11.0,
            wall=(196, 200, 190),
            floor=(112, 124, 142),
            doors=((Side.LEFT, 8.2), (Side.BACK, 1.2)),
        ),
        posters=(Poster(Panel(Side.BACK, -1.5, 1.75, 0.75, 1.0), Wear.MASKED, face=0),),
        figures=(
            Figure((Step(0.3, -1.1, 9.0), Step(6.2, -0.55, 3.2), Step(8.4, -0.4, 1.1)), face=1),
            Figure((Step(0.8, 0.7, 9.4), Step(6.6, 0.5, 3.3), Step(8.9, 0.3, 1.1)), Wear.MASKED, face=0),
            Figure(
                (
                    Step(9.2, 0.1, 9.6),
                    Step(14.4, 0.0, 3.5),
                    Step(17.8, 0.05, 3.3),
                    Step(20.4, -0.4, 1.1),
                ),
                Wear.MASKED,
                (WearChange(15.0, Wear.BARE),),
                face=0,
            ),
        ),
    )


def hall() -> Scene:
    """Only masked visitors, who pass the poster of a bare face."""
    return Scene(
        name="hall",
        kind="demo",
        seconds=24,
        place=Place(half_width=2.9, depth=12.0, wall=(186, 190, 200), floor=(150, 152, 150), tile=0.9),
        posters=(Poster(Panel(Side.BACK, 1.3, 1.7, 0.8, 1.06), face=1),),
        figures=(
            Figure((Step(0.5, 0.8, 9.5), Step(6.0, 0.4, 3.6), Step(8.5, 0.3, 1.1)), Wear.MASKED, face=1),
            Figure(
                (Step(6.5, -0.9, 9.8), Step(12.5, -0.5, 3.6), Step(15.0, -0.3, 1.1)),
                Wear.MASKED,
                face=0,
            ),
            Figure(
                (Step(13.0, 0.3, 9.6), Step(19.0, 0.2, 3.4), Step(21.5, 0.1, 1.1)),
                Wear.MASKED,
                face=1,
            ),
        ),
    )


_DEMO_SCENES: dict[str, Callable[[], Scene]] = {
    "reception": reception,
    "entrance": entrance,
    "hall": hall,
}
