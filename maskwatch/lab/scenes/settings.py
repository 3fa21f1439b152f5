"""Kinds of scenes by surroundings: pictured faces, light, weather, the stream."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskwatch.lab.scenes.kind_parts import (
    Register,
    everyday,
    scene_of,
    shallow,
    shelves,
    walk,
)
from maskwatch.lab.scenes.room import Panel, Side
from maskwatch.lab.scenes.scene import (
    Conditions,
    Figure,
    Poster,
    Scene,
    Screen,
    Step,
)
from maskwatch.lab.truth import Wear

SETTINGS = Register()


# ---------------------------------------------------------------- pictured faces


def _side_panel(rng: np.random.Generator, along: float = 7.4) -> Panel:
    side = Side.LEFT if rng.random() < 0.5 else Side.RIGHT
    return Panel(side, along, float(rng.uniform(1.5, 1.8)), 1.1, 1.45)


@SETTINGS.add
def poster(rng: np.random.Generator) -> Scene:
    """Posters of bare faces hang on the walls while a masked person passes."""
    scene = scene_of("poster", rng, Figure(walk(rng, 2.5, float(rng.uniform(-0.5, 0.5))), Wear.MASKED))
    scene = shallow(scene, 8.5)
    posters = (
        Poster(Panel(Side.BACK, float(rng.uniform(-1.2, 1.2)), 1.65, 1.2, 1.6)),
        Poster(_side_panel(rng)),
    )
    return replace(scene, posters=posters)


@SETTINGS.add
def poster_and_visitor(rng: np.random.Generator) -> Scene:
    """A bare visitor walks past the poster of a bare face: one event, about the visitor."""
    scene = scene_of("poster_and_visitor", rng, Figure(walk(rng, 1.0, float(rng.uniform(-0.5, 0.5)))))
    scene = shallow(scene, 8.5)
    return replace(scene, posters=(Poster(Panel(Side.BACK, 0.9, 1.65, 1.2, 1.6)),))


@SETTINGS.add
def mannequin(rng: np.random.Generator) -> Scene:
    """A mannequin with a bare face stands in the room while a masked person passes."""
    stand = (Step(-1.0, -0.7, 3.4), Step(99.0, -0.7, 3.4))
    walker = Figure(walk(rng, 1.5, 0.6), Wear.MASKED)
    figure = Figure(stand, Wear.BARE, alive=False)
    scene = scene_of("mannequin", rng, walker)
    return replace(scene, figures=(walker, figure), seconds=scene.seconds + 2)


@SETTINGS.add
def shop(rng: np.random.Generator) -> Scene:
    """Shelves of goods, a shaking camera, and a masked customer."""
    scene = scene_of("shop", rng, Figure(walk(rng, 1.5, float(rng.uniform(-0.5, 0.5))), Wear.MASKED))
    back = tuple(Panel(Side.BACK, x, 1.3, 1.5, 2.4) for x in (-1.7, 0.0, 1.7))
    room = replace(scene.place, depth=8.3, half_width=2.5, doors=())
    sides = shelves(rng, 2, room.depth)
    return replace(scene, place=room, shelves=back + sides, conditions=Conditions(shake=1.5))


@SETTINGS.add
def screen(rng: np.random.Generator) -> Scene:
    """A television with a talking bare face, in an ignore zone, while a masked person passes."""
    scene = scene_of("screen", rng, Figure(walk(rng, 1.5, -0.6), Wear.MASKED))
    scene = shallow(scene, 8.0)
    return replace(scene, screens=(Screen(Panel(Side.BACK, 1.0, 1.7, 1.3, 1.73)),))


@SETTINGS.add
def empty(rng: np.random.Generator) -> Scene:
    """No person comes; posters hang on the walls, and the light flickers slightly."""
    scene = scene_of("empty", rng)
    panels = (Poster(Panel(Side.BACK, -0.6, 1.65, 1.3, 1.73)), Poster(_side_panel(rng)))
    conditions = Conditions(flicker=0.05, noise=3.5)
    scene = replace(shallow(scene, 7.5), conditions=conditions)
    return replace(scene, posters=panels, seconds=12.0)


# ---------------------------------------------------------------- light, weather, stream


@SETTINGS.add
def infrared(rng: np.random.Generator) -> Scene:
    """Night: an infra-red picture, grey, lit by the camera."""
    return everyday("infrared", rng, Conditions(infrared=True, noise=3.5, brightness=0.9))


@SETTINGS.add
def dusk(rng: np.random.Generator) -> Scene:
    """Little light, much noise, long exposures."""
    bright = float(rng.uniform(0.34, 0.5))
    dark = Conditions(brightness=bright, noise=5.5, exposure=0.6, warmth=-0.4)
    return everyday("dusk", rng, dark)


@SETTINGS.add
def warm_light(rng: np.random.Generator) -> Scene:
    """Orange evening light, strongly exposed."""
    return everyday("warm_light", rng, Conditions(brightness=1.22, warmth=0.9))


@SETTINGS.add
def flicker(rng: np.random.Generator) -> Scene:
    """Lamps that flicker in bands."""
    return everyday("flicker", rng, Conditions(flicker=float(rng.uniform(0.2, 0.4))))


@SETTINGS.add
def hand_held(rng: np.random.Generator) -> Scene:
    """A camera that somebody holds: it trembles and sways from side to side."""
    conditions = Conditions(shake=2.5, pan=1.5, pan_time=float(rng.uniform(2.0, 3.0)))
    return everyday("hand_held", rng, conditions)


@SETTINGS.add
def panning(rng: np.random.Generator) -> Scene:
    """A camera that turns from side to side, so that people leave the view and return."""
    conditions = Conditions(pan=float(rng.uniform(7, 10)), pan_time=float(rng.uniform(11, 14)))
    return everyday("panning", rng, conditions)


@SETTINGS.add
def shake(rng: np.random.Generator) -> Scene:
    """A shaking camera, and a poster on the wall."""
    scene = everyday("shake", rng, Conditions(shake=float(rng.uniform(2.0, 4.0))))
    scene = shallow(scene, 8.5)
    return replace(scene, posters=(Poster(Panel(Side.BACK, 0.0, 1.65, 1.2, 1.6)),))


@SETTINGS.add
def rain(rng: np.random.Generator) -> Scene:
    """Rain in front of the lens."""
    return everyday("rain", rng, Conditions(rain=int(rng.integers(120, 260)), brightness=0.85, blur=0.8))


@SETTINGS.add
def soft_lens(rng: np.random.Generator) -> Scene:
    """A lens out of focus, and a stream of low quality."""
    return everyday("soft_lens", rng, Conditions(blur=float(rng.uniform(1.2, 1.8)), rate_factor=31))


@SETTINGS.add
def low_rate(rng: np.random.Generator) -> Scene:
    """A camera that sends two to three frames a second."""
    return everyday("low_rate", rng, Conditions(keep=int(rng.integers(4, 6))))


@SETTINGS.add
def damaged(rng: np.random.Generator) -> Scene:
    """A bad connection: some packets arrive corrupted."""
    return everyday("damaged", rng, Conditions(damage=float(rng.uniform(0.02, 0.05))))


@SETTINGS.add
def camera_a(rng: np.random.Generator) -> Scene:
    """One bare person passes two cameras: the first."""
    return scene_of("two_cameras", rng, Figure(walk(rng, 0.3, -0.4, far=7.0), person="both"))


@SETTINGS.add
def camera_b(rng: np.random.Generator) -> Scene:
    """One bare person passes two cameras: the second, higher and steeper."""
    scene = scene_of("two_cameras", rng, Figure(walk(rng, 2.0, 0.3, far=6.5), person="both"))
    return replace(scene, name="camera_b", mount=2.7, tilt=18.0)
