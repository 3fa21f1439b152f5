"""The kinds of scenes that the event evaluation is made of: who comes, and what they do.

Each kind is a function from a seeded generator to a scene; its docstring says what happens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from maskwatch.testing.scenes.place import Block, Panel, Place, Side
from maskwatch.testing.scenes.script import (
    Conditions,
    Figure,
    Look,
    Poster,
    Scene,
    Screen,
    Step,
    Wear,
    WearChange,
)

__all__ = ["KINDS", "Kind"]

Kind = Callable[[np.random.Generator], Scene]
KINDS: dict[str, Kind] = {}
"""The kinds by name, in the order in which they are written here."""

_TAIL = 1.0
"""Seconds that a clip goes on after the last person has left."""
_WORN = (Wear.BARE, Wear.MASKED)


def _kind(build: Kind) -> Kind:
    KINDS[build.__name__.removeprefix("_")] = build
    return build


# ---------------------------------------------------------------- helpers


def _walk(
    rng: np.random.Generator,
    start: float,
    lane: float,
    *,
    pace: float = 1.2,
    far: float | None = None,
    near: float = 1.15,
) -> tuple[Step, ...]:
    """Return a way towards the camera and past it; `lane` from -1 (left) to 1 (right)."""
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


def _stop(path: tuple[Step, ...], z: float, seconds: float) -> tuple[tuple[Step, ...], float]:
    """Return the way with a stop of `seconds` at the depth `z`, and when it begins."""
    for i, (one, two) in enumerate(pairwise(path)):
        if two.z <= z <= one.z:
            part = (one.z - z) / (one.z - two.z)
            at = one.at + part * (two.at - one.at)
            x = one.x + part * (two.x - one.x)
            later = tuple(replace(step, at=step.at + seconds) for step in path[i + 1 :])
            return (*path[: i + 1], Step(at, x, z), Step(at + seconds, x + 0.02, z - 0.02), *later), at
    raise ValueError(f"the way does not pass the depth {z}")


def _wear(rng: np.random.Generator) -> Wear:
    return _WORN[int(rng.random() < 0.5)]


def _place(rng: np.random.Generator, *blocks: Block) -> Place:
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


def _shelves(rng: np.random.Generator, count: int, depth: float) -> tuple[Panel, ...]:
    """Return up to two shelves, one along each side wall of a room of this depth."""
    sides = (Side.LEFT, Side.RIGHT) if rng.random() < 0.5 else (Side.RIGHT, Side.LEFT)
    return tuple(
        Panel(side, float(rng.uniform(7.2, max(7.3, min(depth - 0.9, 9.0)))), 1.0, 1.5, 2.0)
        for side in sides[:count]
    )


def _scene(
    kind: str, rng: np.random.Generator, *figures: Figure, blocks: tuple[Block, ...] = ()
) -> Scene:
    """Return a scene of these people, long enough for all of them, in a room of its own."""
    last = max((figure.path[-1].at for figure in figures), default=8.0)
    place = _place(rng, *blocks)
    return Scene(
        name=kind,
        kind=kind,
        seconds=round(last + _TAIL, 1),
        figures=figures,
        place=place,
        shelves=_shelves(rng, int(rng.integers(0, 3)), place.depth),
        mount=float(rng.uniform(2.2, 2.5)),
        tilt=float(rng.uniform(12, 14.5)),
        field_of_view=float(rng.uniform(40, 46)),
    )


def _shallow(scene: Scene, depth: float) -> Scene:
    """Return the scene in a room of this depth, so that what hangs at its end is near enough."""
    shelves = tuple(one for one in scene.shelves if one.along + one.width / 2 < depth)
    return replace(scene, place=replace(scene.place, depth=depth, doors=()), shelves=shelves)


def _everyday(kind: str, rng: np.random.Generator, conditions: Conditions) -> Scene:
    """Return two visitors, one bare and one masked, under these conditions."""
    order = [Wear.BARE, Wear.MASKED]
    if rng.random() < 0.5:
        order.reverse()
    first = Figure(_walk(rng, 0.3, -0.6), order[0])
    second = Figure(_walk(rng, 2.2, 0.6), order[1])
    return replace(_scene(kind, rng, first, second), conditions=conditions)


# ---------------------------------------------------------------- one person


@_kind
def lone_bare(rng: np.random.Generator) -> Scene:
    """One person without a mask walks in, comes near and leaves."""
    return _scene("lone_bare", rng, Figure(_walk(rng, 0.3, float(rng.uniform(-1, 1)))))


@_kind
def lone_masked(rng: np.random.Generator) -> Scene:
    """One person with a mask walks in, comes near and leaves."""
    figure = Figure(_walk(rng, 0.3, float(rng.uniform(-1, 1))), Wear.MASKED)
    return _scene("lone_masked", rng, figure)


@_kind
def lingering(rng: np.random.Generator) -> Scene:
    """One person without a mask stops in front of the camera for some seconds."""
    path, _ = _stop(_walk(rng, 0.3, float(rng.uniform(-0.6, 0.6))), float(rng.uniform(2.2, 3.4)), 5.0)
    return _scene("lingering", rng, Figure(path))


@_kind
def lingering_masked(rng: np.random.Generator) -> Scene:
    """One person with a mask stops in front of the camera for some seconds."""
    path, _ = _stop(_walk(rng, 0.3, float(rng.uniform(-0.6, 0.6))), float(rng.uniform(2.2, 3.4)), 5.0)
    return _scene("lingering_masked", rng, Figure(path, Wear.MASKED))


@_kind
def looking_about(rng: np.random.Generator) -> Scene:
    """A bare person looks left and right while walking, and turns round once."""
    path, at = _stop(_walk(rng, 0.3, float(rng.uniform(-0.5, 0.5))), 3.0, 4.5)
    looks = (Look(1.5, 50.0), Look(2.6, 0.0), Look(at + 0.8, 180.0), Look(at + 2.2, 0.0))
    return _scene("looking_about", rng, Figure(path, _wear(rng), looks=looks))


@_kind
def walking_off(rng: np.random.Generator) -> Scene:
    """Somebody is seen from behind only, walking away: nothing can be judged."""
    ahead = _walk(rng, 0.3, float(rng.uniform(-0.7, 0.7)))
    end = ahead[-1].at + 0.3
    path = tuple(replace(step, at=end - step.at) for step in reversed(ahead))
    return _scene("walking_off", rng, Figure(path, _wear(rng)))


@_kind
def fast(rng: np.random.Generator) -> Scene:
    """Two people run through the picture, one masked."""
    pace = float(rng.uniform(2.2, 2.7))
    return _scene(
        "fast",
        rng,
        Figure(_walk(rng, 0.3, -0.5, pace=pace, far=8.5)),
        Figure(_walk(rng, 2.5, 0.5, pace=pace, far=8.5), Wear.MASKED),
    )


@_kind
def far(rng: np.random.Generator) -> Scene:
    """Two bare people who stay far from the camera; one at last comes near."""
    away = tuple(
        Step(0.3 + 1.6 * i, x, z) for i, (x, z) in enumerate(((-1.6, 8.5), (-1.2, 6.9), (-1.4, 8.6)))
    )
    return _scene("far", rng, Figure(away), Figure(_walk(rng, 1.0, 0.6, far=9.0)))


@_kind
def near(rng: np.random.Generator) -> Scene:
    """Two people appear at the edge of the picture close to the camera, one masked."""
    figures = []
    for i, wear in enumerate(_WORN if rng.random() < 0.5 else reversed(_WORN)):
        side = -1 if i else 1
        start = 0.3 + 3.2 * i
        steps = (
            Step(start, side * 1.7, 3.0),
            Step(start + 1.5, side * 0.5, 2.3),
            Step(start + 3.2, -side * 0.1, 1.75),
            Step(start + 4.2, -side * 0.25, 1.1),
        )
        figures.append(Figure(steps, wear))
    return _scene("near", rng, *figures)


# ---------------------------------------------------------------- several people


@_kind
def pair(rng: np.random.Generator) -> Scene:
    """Two people side by side, one with and one without a mask."""
    first, second = (Wear.BARE, Wear.MASKED) if rng.random() < 0.5 else (Wear.MASKED, Wear.BARE)
    return _scene(
        "pair",
        rng,
        Figure(_walk(rng, 0.3, -0.65), first),
        Figure(_walk(rng, float(rng.uniform(0.3, 1.0)), 0.65), second),
    )


@_kind
def group(rng: np.random.Generator) -> Scene:
    """Four people together, with and without masks."""
    figures = [
        Figure(_walk(rng, 0.3 + 0.8 * i, lane, far=8.0 + 0.3 * i), _wear(rng))
        for i, lane in enumerate((-0.9, 0.85, -0.25, 0.35))
    ]
    return _scene("group", rng, *figures)


@_kind
def queue(rng: np.random.Generator) -> Scene:
    """Three people one behind the other, close enough to hide each other."""
    lane = float(rng.uniform(-0.4, 0.4))
    figures = [
        Figure(_walk(rng, 0.3 + 1.7 * i, lane + 0.28 * (-1) ** i, far=7.5), _wear(rng)) for i in range(3)
    ]
    return _scene("queue", rng, *figures)


@_kind
def crossing(rng: np.random.Generator) -> Scene:
    """Two people cross in front of the camera, one with and one without a mask."""
    first, second = (Wear.BARE, Wear.MASKED) if rng.random() < 0.5 else (Wear.MASKED, Wear.BARE)
    left = (Step(0.3, -1.9, 7.5), Step(4.1, 0.0, 4.0), Step(7.0, 0.42, 1.15))
    right = (Step(0.6, 1.9, 7.0), Step(4.3, -0.1, 3.6), Step(6.9, -0.42, 1.15))
    return _scene("crossing", rng, Figure(left, first), Figure(right, second))


@_kind
def passing_behind(rng: np.random.Generator) -> Scene:
    """Somebody stands near while another passes behind them and is hidden for a moment."""
    near_wear, far_wear = _wear(rng), _wear(rng)
    stand, _ = _stop(_walk(rng, 0.3, 0.0, far=6.0), 2.6, 4.0)
    behind = (Step(2.4, -1.6, 6.8), Step(5.0, -0.55, 4.6), Step(7.2, 0.75, 3.3), Step(9.2, 0.4, 1.15))
    return _scene("passing_behind", rng, Figure(stand, near_wear), Figure(behind, far_wear))


# ---------------------------------------------------------------- hidden


@_kind
def pillar(rng: np.random.Generator) -> Scene:
    """Somebody is hidden by a pillar for about a second and comes out again."""
    path = (Step(0.3, -0.2, 8.4), Step(4.2, 1.35, 4.7), Step(6.4, 0.8, 2.6), Step(7.9, 0.3, 1.15))
    block = Block(0.5, 3.0, 0.32, 0.32)
    return _scene("pillar", rng, Figure(path, _wear(rng)), blocks=(block,))


@_kind
def behind_pillar(rng: np.random.Generator) -> Scene:
    """Somebody close to the camera stops behind a pillar for two seconds and goes on."""
    path = (
        Step(0.3, -1.0, 6.5),
        Step(3.0, -0.5, 3.7),
        Step(4.2, 0.42, 3.3),
        Step(6.2, 0.44, 3.25),
        Step(7.4, 0.95, 2.75),
        Step(9.1, 0.4, 1.15),
    )
    block = Block(0.34, 2.5, 0.34, 0.3)
    return _scene("behind_pillar", rng, Figure(path, _wear(rng)), blocks=(block,))


@_kind
def counter(rng: np.random.Generator) -> Scene:
    """Somebody comes to a counter that hides them up to the chest, and waits there."""
    path = (Step(0.3, -1.5, 7.5), Step(4.4, 0.2, 3.5), Step(9.0, 0.25, 3.45), Step(12.5, 1.9, 6.0))
    desk = Block(0.2, 2.6, 2.6, 0.6, 1.12, (92, 118, 150))
    return _scene("counter", rng, Figure(path, _wear(rng)), blocks=(desk,))


@_kind
def half_hidden(rng: np.random.Generator) -> Scene:
    """A face half behind a pillar for three seconds before it comes out."""
    path = (
        Step(0.3, 0.15, 6.5),
        Step(3.2, 0.36, 3.2),
        Step(6.2, 0.34, 3.15),
        Step(7.3, -0.1, 2.5),
        Step(8.6, -0.1, 1.15),
    )
    block = Block(0.52, 2.5, 0.42, 0.3)
    return _scene("half_hidden", rng, Figure(path, _wear(rng)), blocks=(block,))


@_kind
def reentry(rng: np.random.Generator) -> Scene:
    """A bare person leaves and comes back after eight seconds: two visits."""
    first = Figure(_walk(rng, 0.3, -0.4, far=6.5), person="same")
    again = Figure(_walk(rng, first.path[-1].at + 8.0, 0.4, far=6.5), person="same")
    return _scene("reentry", rng, first, again)


# ---------------------------------------------------------------- masks


@_kind
def mask_on(rng: np.random.Generator) -> Scene:
    """A bare person stops, puts a mask on and walks on."""
    path, at = _stop(_walk(rng, 0.3, float(rng.uniform(-0.4, 0.4))), 2.8, 4.0)
    change = WearChange(at + 1.6, Wear.MASKED)
    return _scene("mask_on", rng, Figure(path, Wear.BARE, (change,)))


@_kind
def mask_off(rng: np.random.Generator) -> Scene:
    """A masked person stops, takes the mask off and walks on."""
    path, at = _stop(_walk(rng, 0.3, float(rng.uniform(-0.4, 0.4))), 2.8, 4.5)
    change = WearChange(at + 1.0, Wear.BARE)
    return _scene("mask_off", rng, Figure(path, Wear.MASKED, (change,)))


@_kind
def mask_on_early(rng: np.random.Generator) -> Scene:
    """A bare person puts the mask on while still far away: nothing to report."""
    path = _walk(rng, 0.3, float(rng.uniform(-0.5, 0.5)), far=9.0)
    return _scene("mask_on_early", rng, Figure(path, Wear.BARE, (WearChange(0.9, Wear.MASKED),)))


@_kind
def under_nose(rng: np.random.Generator) -> Scene:
    """Somebody wears the mask under the nose; another wears it properly."""
    return _scene(
        "under_nose",
        rng,
        Figure(_walk(rng, 0.3, -0.5), Wear.UNDER_NOSE),
        Figure(_walk(rng, 2.0, 0.5), Wear.MASKED),
    )


@_kind
def on_chin(rng: np.random.Generator) -> Scene:
    """Somebody wears the mask on the chin."""
    return _scene("on_chin", rng, Figure(_walk(rng, 0.3, float(rng.uniform(-0.6, 0.6))), Wear.ON_CHIN))


# ---------------------------------------------------------------- faces of nobody


def _side_panel(rng: np.random.Generator, along: float = 7.4) -> Panel:
    side = Side.LEFT if rng.random() < 0.5 else Side.RIGHT
    return Panel(side, along, float(rng.uniform(1.5, 1.8)), 1.1, 1.45)


@_kind
def poster(rng: np.random.Generator) -> Scene:
    """Posters of bare faces hang on the walls while a masked person passes."""
    scene = _scene("poster", rng, Figure(_walk(rng, 2.5, float(rng.uniform(-0.5, 0.5))), Wear.MASKED))
    scene = _shallow(scene, 8.5)
    posters = (
        Poster(Panel(Side.BACK, float(rng.uniform(-1.2, 1.2)), 1.65, 1.2, 1.6)),
        Poster(_side_panel(rng)),
    )
    return replace(scene, posters=posters)


@_kind
def poster_and_visitor(rng: np.random.Generator) -> Scene:
    """A bare visitor walks past the poster of a bare face: one event, about the visitor."""
    scene = _scene("poster_and_visitor", rng, Figure(_walk(rng, 1.0, float(rng.uniform(-0.5, 0.5)))))
    scene = _shallow(scene, 8.5)
    return replace(scene, posters=(Poster(Panel(Side.BACK, 0.9, 1.65, 1.2, 1.6)),))


@_kind
def mannequin(rng: np.random.Generator) -> Scene:
    """A mannequin with a bare face stands in the shop while a masked person passes."""
    stand = (Step(-1.0, -0.7, 3.4), Step(99.0, -0.7, 3.4))
    walker = Figure(_walk(rng, 1.5, 0.6), Wear.MASKED)
    doll = Figure(stand, Wear.BARE, alive=False)
    scene = _scene("mannequin", rng, walker)
    return replace(scene, figures=(walker, doll), seconds=scene.seconds + 2)


@_kind
def shop(rng: np.random.Generator) -> Scene:
    """Shelves full of goods, a trembling camera, and a masked customer."""
    scene = _scene("shop", rng, Figure(_walk(rng, 1.5, float(rng.uniform(-0.5, 0.5))), Wear.MASKED))
    back = tuple(Panel(Side.BACK, x, 1.3, 1.5, 2.4) for x in (-1.7, 0.0, 1.7))
    room = replace(scene.place, depth=8.3, half_width=2.5, doors=())
    sides = _shelves(rng, 2, room.depth)
    return replace(scene, place=room, shelves=back + sides, conditions=Conditions(shake=1.5))


@_kind
def screen(rng: np.random.Generator) -> Scene:
    """A television with a talking bare face, in an ignore zone, while a masked person passes."""
    scene = _scene("screen", rng, Figure(_walk(rng, 1.5, -0.6), Wear.MASKED))
    scene = _shallow(scene, 8.0)
    return replace(scene, screens=(Screen(Panel(Side.BACK, 1.0, 1.7, 1.3, 1.73)),))


@_kind
def empty(rng: np.random.Generator) -> Scene:
    """Nobody comes; a poster hangs there, the light changes a little."""
    scene = _scene("empty", rng)
    panels = (Poster(Panel(Side.BACK, -0.6, 1.65, 1.3, 1.73)), Poster(_side_panel(rng)))
    conditions = Conditions(flicker=0.05, noise=3.5)
    scene = replace(_shallow(scene, 7.5), conditions=conditions)
    return replace(scene, posters=panels, seconds=12.0)


# ---------------------------------------------------------------- light, weather, stream


@_kind
def infrared(rng: np.random.Generator) -> Scene:
    """Night: an infra-red picture, grey, lit by the camera."""
    return _everyday("infrared", rng, Conditions(infrared=True, noise=3.5, brightness=0.9))


@_kind
def dusk(rng: np.random.Generator) -> Scene:
    """Little light, much noise, long exposures."""
    bright = float(rng.uniform(0.34, 0.5))
    dark = Conditions(brightness=bright, noise=5.5, exposure=0.6, warmth=-0.4)
    return _everyday("dusk", rng, dark)


@_kind
def warm_light(rng: np.random.Generator) -> Scene:
    """Orange evening light, strongly exposed."""
    return _everyday("warm_light", rng, Conditions(brightness=1.22, warmth=0.9))


@_kind
def flicker(rng: np.random.Generator) -> Scene:
    """Lamps that flicker in bands."""
    return _everyday("flicker", rng, Conditions(flicker=float(rng.uniform(0.2, 0.4))))


@_kind
def shake(rng: np.random.Generator) -> Scene:
    """A camera on a pole that trembles, with a poster that trembles along."""
    scene = _everyday("shake", rng, Conditions(shake=float(rng.uniform(2.0, 4.0))))
    scene = _shallow(scene, 8.5)
    return replace(scene, posters=(Poster(Panel(Side.BACK, 0.0, 1.65, 1.2, 1.6)),))


@_kind
def rain(rng: np.random.Generator) -> Scene:
    """Rain in front of the lens."""
    return _everyday(
        "rain", rng, Conditions(rain=int(rng.integers(120, 260)), brightness=0.85, blur=0.8)
    )


@_kind
def soft_lens(rng: np.random.Generator) -> Scene:
    """A lens out of focus and a stream of low quality."""
    return _everyday("soft_lens", rng, Conditions(blur=float(rng.uniform(1.2, 1.8)), rate_factor=31))


@_kind
def low_rate(rng: np.random.Generator) -> Scene:
    """A camera that sends two to three frames a second."""
    return _everyday("low_rate", rng, Conditions(keep=int(rng.integers(4, 6))))


@_kind
def damaged(rng: np.random.Generator) -> Scene:
    """A bad link: some packets arrive broken."""
    return _everyday("damaged", rng, Conditions(damage=float(rng.uniform(0.02, 0.05))))


@_kind
def camera_a(rng: np.random.Generator) -> Scene:
    """One bare person passes two cameras: the first."""
    return _scene("two_cameras", rng, Figure(_walk(rng, 0.3, -0.4, far=7.0), person="both"))


@_kind
def camera_b(rng: np.random.Generator) -> Scene:
    """One bare person passes two cameras: the second, higher and steeper."""
    scene = _scene("two_cameras", rng, Figure(_walk(rng, 2.0, 0.3, far=6.5), person="both"))
    return replace(scene, name="camera_b", mount=2.7, tilt=18.0)
