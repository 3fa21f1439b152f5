"""Kinds of scenes by what people do: walk alone or together, be hidden, move their masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskwatch.lab.scenes.kind_parts import (
    Register,
    any_wear,
    both_wears,
    scene_of,
    stop,
    walk,
)
from maskwatch.lab.scenes.room import Block
from maskwatch.lab.scenes.scene import (
    Figure,
    Look,
    Scene,
    Step,
    WearChange,
)
from maskwatch.lab.truth import Wear

PEOPLE = Register()


# ---------------------------------------------------------------- one person


@PEOPLE.add
def lone_bare(rng: np.random.Generator) -> Scene:
    """One person without a mask walks in, comes near and leaves."""
    return scene_of("lone_bare", rng, Figure(walk(rng, 0.3, float(rng.uniform(-1, 1)))))


@PEOPLE.add
def lone_masked(rng: np.random.Generator) -> Scene:
    """One person with a mask walks in, comes near and leaves."""
    figure = Figure(walk(rng, 0.3, float(rng.uniform(-1, 1))), Wear.MASKED)
    return scene_of("lone_masked", rng, figure)


@PEOPLE.add
def lingering(rng: np.random.Generator) -> Scene:
    """One person without a mask stops in front of the camera for some seconds."""
    path, _ = stop(walk(rng, 0.3, float(rng.uniform(-0.6, 0.6))), float(rng.uniform(2.2, 3.4)), 5.0)
    return scene_of("lingering", rng, Figure(path))


@PEOPLE.add
def lingering_masked(rng: np.random.Generator) -> Scene:
    """One person with a mask stops in front of the camera for some seconds."""
    path, _ = stop(walk(rng, 0.3, float(rng.uniform(-0.6, 0.6))), float(rng.uniform(2.2, 3.4)), 5.0)
    return scene_of("lingering_masked", rng, Figure(path, Wear.MASKED))


@PEOPLE.add
def looking_about(rng: np.random.Generator) -> Scene:
    """A bare person looks left and right while walking, and turns round once."""
    path, at = stop(walk(rng, 0.3, float(rng.uniform(-0.5, 0.5))), 3.0, 4.5)
    looks = (Look(1.5, 50.0), Look(2.6, 0.0), Look(at + 0.8, 180.0), Look(at + 2.2, 0.0))
    return scene_of("looking_about", rng, Figure(path, any_wear(rng), looks=looks))


@PEOPLE.add
def cough(rng: np.random.Generator) -> Scene:
    """A bare person coughs into the hand twice; the hand is not a mask."""
    path, at = stop(walk(rng, 0.3, float(rng.uniform(-0.5, 0.5))), 2.8, 4.0)
    return scene_of("cough", rng, Figure(path, coughs=(at - 0.2, at + 2.2)))


@PEOPLE.add
def walking_off(rng: np.random.Generator) -> Scene:
    """A person walks away, seen only from behind: nothing can be judged."""
    ahead = walk(rng, 0.3, float(rng.uniform(-0.7, 0.7)))
    end = ahead[-1].at + 0.3
    path = tuple(replace(step, at=end - step.at) for step in reversed(ahead))
    return scene_of("walking_off", rng, Figure(path, any_wear(rng)))


@PEOPLE.add
def fast(rng: np.random.Generator) -> Scene:
    """Two people run through the picture, one masked."""
    pace = float(rng.uniform(2.2, 2.7))
    return scene_of(
        "fast",
        rng,
        Figure(walk(rng, 0.3, -0.5, pace=pace, far=8.5)),
        Figure(walk(rng, 2.5, 0.5, pace=pace, far=8.5), Wear.MASKED),
    )


@PEOPLE.add
def far(rng: np.random.Generator) -> Scene:
    """Two bare people stay far from the camera; then one comes near."""
    away = tuple(
        Step(0.3 + 1.6 * i, x, z) for i, (x, z) in enumerate(((-1.6, 8.5), (-1.2, 6.9), (-1.4, 8.6)))
    )
    return scene_of("far", rng, Figure(away), Figure(walk(rng, 1.0, 0.6, far=9.0)))


@PEOPLE.add
def near(rng: np.random.Generator) -> Scene:
    """Two people appear at the edge of the picture close to the camera, one masked."""
    figures = []
    for i, wear in enumerate(both_wears(rng)):
        side = -1 if i else 1
        start = 0.3 + 3.2 * i
        steps = (
            Step(start, side * 1.7, 3.0),
            Step(start + 1.5, side * 0.5, 2.3),
            Step(start + 3.2, -side * 0.1, 1.75),
            Step(start + 4.2, -side * 0.25, 1.1),
        )
        figures.append(Figure(steps, wear))
    return scene_of("near", rng, *figures)


# ---------------------------------------------------------------- people who hold still


def _stands(rng: np.random.Generator, x: float, z: float, seconds: float) -> tuple[Step, ...]:
    """Return the path of somebody who is there from before the first frame until after the last."""
    shift = float(rng.uniform(-0.02, 0.02))
    return Step(-1.0, x, z), Step(seconds + 1.0, x + shift, z - shift)


def _glances(rng: np.random.Generator, seconds: float, yaw: float = 0.0) -> tuple[Look, ...]:
    """Return glances to both sides, back to `yaw` (degrees) after each."""
    times = np.cumsum(rng.uniform(1.5, 4.0, 12))
    found = []
    for at in (float(time) for time in times if time < seconds):
        found.append(Look(at, yaw + float(rng.uniform(-28, 28))))
        found.append(Look(at + float(rng.uniform(0.7, 1.4)), yaw))
    return tuple(found)


@PEOPLE.add
def guard(rng: np.random.Generator) -> Scene:
    """A bare person is there from the first frame, holds still and looks about."""
    path = _stands(rng, float(rng.uniform(-0.7, 0.7)), float(rng.uniform(2.3, 4.2)), 12.0)
    figure = Figure(path, looks=_glances(rng, 12.0), holds_still=True)
    return replace(scene_of("guard", rng, figure), seconds=12.0)


@PEOPLE.add
def desk(rng: np.random.Generator) -> Scene:
    """Two people at a desk talk to each other from the first frame on, one of them masked."""
    wears, z = both_wears(rng), float(rng.uniform(2.6, 3.6))
    figures = [
        Figure(
            _stands(rng, side * 0.48, z, 12.0),
            wear,
            looks=(Look(-1.0, -14.0 * side), *_glances(rng, 12.0, -14.0 * side)),
            holds_still=True,
            talks=True,
        )
        for side, wear in zip((-1, 1), wears, strict=True)
    ]
    table = Block(0.0, z - 0.8, 2.4, 0.6, 1.0, (92, 118, 150))
    return replace(scene_of("desk", rng, *figures, blocks=(table,)), seconds=12.0)


@PEOPLE.add
def waiting(rng: np.random.Generator) -> Scene:
    """Three people walk in one after the other, wait without moving, and leave."""
    figures = []
    for number, lane in enumerate((-0.55, 0.0, 0.55)):
        path, at = stop(walk(rng, 0.3 + 1.4 * number, lane, far=6.5), 2.5 + 0.5 * number, 6.0)
        looks = tuple(replace(look, at=look.at + at) for look in _glances(rng, 5.0))
        figures.append(Figure(path, any_wear(rng), looks=looks, holds_still=True, talks=number == 1))
    return scene_of("waiting", rng, *figures)


# ---------------------------------------------------------------- several people


@PEOPLE.add
def pair(rng: np.random.Generator) -> Scene:
    """Two people side by side, one with and one without a mask."""
    first, second = both_wears(rng)
    return scene_of(
        "pair",
        rng,
        Figure(walk(rng, 0.3, -0.65), first),
        Figure(walk(rng, float(rng.uniform(0.3, 1.0)), 0.65), second),
    )


@PEOPLE.add
def group(rng: np.random.Generator) -> Scene:
    """Four people together, with and without masks."""
    figures = [
        Figure(walk(rng, 0.3 + 0.8 * i, lane, far=8.0 + 0.3 * i), any_wear(rng))
        for i, lane in enumerate((-0.9, 0.85, -0.25, 0.35))
    ]
    return scene_of("group", rng, *figures)


@PEOPLE.add
def crowd(rng: np.random.Generator) -> Scene:
    """Seven people at once, who sometimes hide each other."""
    lanes = (-0.9, 0.1, 0.9, -0.45, 0.5, -0.1, 0.75)
    figures = [
        Figure(walk(rng, 0.3 + 0.75 * i, lane, far=8.0), any_wear(rng)) for i, lane in enumerate(lanes)
    ]
    return scene_of("crowd", rng, *figures)


@PEOPLE.add
def queue(rng: np.random.Generator) -> Scene:
    """Three people one behind the other, close enough to hide each other."""
    lane = float(rng.uniform(-0.4, 0.4))
    figures = [
        Figure(walk(rng, 0.3 + 1.7 * i, lane + 0.28 * (-1) ** i, far=7.5), any_wear(rng))
        for i in range(3)
    ]
    return scene_of("queue", rng, *figures)


@PEOPLE.add
def crossing(rng: np.random.Generator) -> Scene:
    """Two people cross in front of the camera, one with and one without a mask."""
    first, second = both_wears(rng)
    left = (Step(0.3, -1.9, 7.5), Step(4.1, 0.0, 4.0), Step(7.0, 0.42, 1.15))
    right = (Step(0.6, 1.9, 7.0), Step(4.3, -0.1, 3.6), Step(6.9, -0.42, 1.15))
    return scene_of("crossing", rng, Figure(left, first), Figure(right, second))


@PEOPLE.add
def passing_behind(rng: np.random.Generator) -> Scene:
    """A person stands near while another passes behind them and is hidden for a moment."""
    near_wear, far_wear = any_wear(rng), any_wear(rng)
    stand, _ = stop(walk(rng, 0.3, 0.0, far=6.0), 2.6, 4.0)
    behind = (Step(2.4, -1.6, 6.8), Step(5.0, -0.55, 4.6), Step(7.2, 0.75, 3.3), Step(9.2, 0.4, 1.15))
    return scene_of("passing_behind", rng, Figure(stand, near_wear), Figure(behind, far_wear))


# ---------------------------------------------------------------- hidden


@PEOPLE.add
def pillar(rng: np.random.Generator) -> Scene:
    """A person is hidden by a pillar for about a second and appears again."""
    path = (Step(0.3, -0.2, 8.4), Step(4.2, 1.35, 4.7), Step(6.4, 0.8, 2.6), Step(7.9, 0.3, 1.15))
    block = Block(0.5, 3.0, 0.32, 0.32)
    return scene_of("pillar", rng, Figure(path, any_wear(rng)), blocks=(block,))


@PEOPLE.add
def behind_pillar(rng: np.random.Generator) -> Scene:
    """A person close to the camera stops behind a pillar for two seconds and walks on."""
    path = (
        Step(0.3, -1.0, 6.5),
        Step(3.0, -0.5, 3.7),
        Step(4.2, 0.42, 3.3),
        Step(6.2, 0.44, 3.25),
        Step(7.4, 0.95, 2.75),
        Step(9.1, 0.4, 1.15),
    )
    block = Block(0.34, 2.5, 0.34, 0.3)
    return scene_of("behind_pillar", rng, Figure(path, any_wear(rng)), blocks=(block,))


@PEOPLE.add
def counter(rng: np.random.Generator) -> Scene:
    """A person waits at a counter that hides them up to the chest."""
    path = (Step(0.3, -1.5, 7.5), Step(4.4, 0.2, 3.5), Step(9.0, 0.25, 3.45), Step(12.5, 1.9, 6.0))
    desk = Block(0.2, 2.6, 2.6, 0.6, 1.12, (92, 118, 150))
    return scene_of("counter", rng, Figure(path, any_wear(rng)), blocks=(desk,))


@PEOPLE.add
def half_hidden(rng: np.random.Generator) -> Scene:
    """A face is half hidden by a pillar for three seconds before it is fully visible."""
    path = (
        Step(0.3, 0.15, 6.5),
        Step(3.2, 0.36, 3.2),
        Step(6.2, 0.34, 3.15),
        Step(7.3, -0.1, 2.5),
        Step(8.6, -0.1, 1.15),
    )
    block = Block(0.52, 2.5, 0.42, 0.3)
    return scene_of("half_hidden", rng, Figure(path, any_wear(rng)), blocks=(block,))


@PEOPLE.add
def reentry(rng: np.random.Generator) -> Scene:
    """A bare person leaves and returns after eight seconds: two visits."""
    first = Figure(walk(rng, 0.3, -0.4, far=6.5), person="same")
    second = Figure(walk(rng, first.path[-1].at + 8.0, 0.4, far=6.5), person="same")
    return scene_of("reentry", rng, first, second)


# ---------------------------------------------------------------- masks


@PEOPLE.add
def mask_on(rng: np.random.Generator) -> Scene:
    """A bare person stops, puts a mask on and walks on."""
    path, at = stop(walk(rng, 0.3, float(rng.uniform(-0.4, 0.4))), 2.8, 4.0)
    change = WearChange(at + 1.6, Wear.MASKED)
    return scene_of("mask_on", rng, Figure(path, Wear.BARE, (change,)))


@PEOPLE.add
def mask_off(rng: np.random.Generator) -> Scene:
    """A masked person stops, takes the mask off and walks on."""
    path, at = stop(walk(rng, 0.3, float(rng.uniform(-0.4, 0.4))), 2.8, 4.5)
    change = WearChange(at + 1.0, Wear.BARE)
    return scene_of("mask_off", rng, Figure(path, Wear.MASKED, (change,)))


@PEOPLE.add
def mask_on_early(rng: np.random.Generator) -> Scene:
    """A bare person puts the mask on while still far away: nothing to report."""
    path = walk(rng, 0.3, float(rng.uniform(-0.5, 0.5)), far=9.0)
    return scene_of("mask_on_early", rng, Figure(path, Wear.BARE, (WearChange(0.9, Wear.MASKED),)))


@PEOPLE.add
def under_nose(rng: np.random.Generator) -> Scene:
    """A person wears the mask under the nose; another wears it correctly."""
    return scene_of(
        "under_nose",
        rng,
        Figure(walk(rng, 0.3, -0.5), Wear.UNDER_NOSE),
        Figure(walk(rng, 2.0, 0.5), Wear.MASKED),
    )


@PEOPLE.add
def on_chin(rng: np.random.Generator) -> Scene:
    """A person wears the mask on the chin."""
    return scene_of("on_chin", rng, Figure(walk(rng, 0.3, float(rng.uniform(-0.6, 0.6))), Wear.ON_CHIN))
