"""A scene as data: people with their paths and masks, the room, the camera and its conditions.

`catalogue` makes scenes of named kinds from a seed, and `renderer` renders one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from maskwatch.lab.scenes.masks import MaskStyle
from maskwatch.lab.scenes.room import Panel, Place
from maskwatch.lab.truth import Wear


@dataclass(frozen=True, slots=True)
class Step:
    """Position of a person at a time: seconds, then metres to the right and away from the camera."""

    at: float
    x: float
    z: float


@dataclass(frozen=True, slots=True)
class WearChange:
    """From `at` (seconds) the mask is being moved; 0.9 s later it is worn as `wear`."""

    at: float
    wear: Wear


@dataclass(frozen=True, slots=True)
class Look:
    """From `at` (seconds) the person looks `yaw` degrees aside of their direction.

    180 turns the face away from the camera.
    """

    at: float
    yaw: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One person's visit.

    Attributes:
        path: positions over time; the person is in the scene from the first to the last step.
        wear: how the mask is worn at the start.
        changes: when it is put on, taken off or pulled down.
        looks: when they look aside.
        style: the mask; None draws one from the seed.
        face: number of the portrait; None draws one from the seed.
        alive: False for a mannequin, which neither sways nor bobs.
        coughs: when a hand covers the mouth, for 1.4 s each (seconds).
        person: name in the ground truth; the same name twice is one person who returns.
        holds_still: moves by millimetres, breathes and blinks, as somebody does who waits or sits.
        talks: speaks from time to time.
    """

    path: tuple[Step, ...]
    wear: Wear = Wear.BARE
    changes: tuple[WearChange, ...] = ()
    looks: tuple[Look, ...] = ()
    style: MaskStyle | None = None
    face: int | None = None
    alive: bool = True
    person: str = ""
    coughs: tuple[float, ...] = ()
    holds_still: bool = False
    talks: bool = False


@dataclass(frozen=True, slots=True)
class Poster:
    """A printed portrait on a wall; `wear` is how the printed face wears a mask."""

    panel: Panel
    wear: Wear = Wear.BARE
    face: int | None = None


@dataclass(frozen=True, slots=True)
class Screen:
    """A television on a wall that shows a moving face."""

    panel: Panel
    wear: Wear = Wear.BARE
    face: int | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """Light, lens, sensor and stream.

    Attributes:
        brightness: 1 is a well-lit room, 0.3 dusk.
        warmth: -1 blue, 0 neutral, 1 orange.
        noise: standard deviation of the sensor's noise in grey levels.
        infrared: night mode: no colour, light from the camera itself.
        flicker: depth of the lamps' flicker, 0 to 1.
        shake: standard deviation of the camera's motion in pixels at 1280 wide.
        pan, pan_time: degrees that the camera turns to each side, and seconds that one turn takes.
        rain: streaks per picture.
        exposure: share of the frame time that the shutter is open: motion blur.
        blur: softness of the lens in pixels at 1280 wide.
        rate_factor: constant-rate factor of the encoder; larger is worse.
        keep: only every n-th frame is sent (a low frame rate).
        damage: share of the packets that are corrupted.
    """

    brightness: float = 1.0
    warmth: float = 0.0
    noise: float = 2.2
    infrared: bool = False
    flicker: float = 0.0
    shake: float = 0.0
    pan: float = 0.0
    pan_time: float = 12.0
    rain: int = 0
    exposure: float = 0.25
    blur: float = 0.55
    rate_factor: float = 26.0
    keep: int = 1
    damage: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """A clip to be rendered.

    Attributes:
        name: unique; names the file.
        kind: of the catalogue.
        seconds: length.
        figures, posters, screens, shelves: its visible contents.
        mount, tilt, field_of_view: of the camera: metres, degrees down, degrees wide.
    """

    name: str
    kind: str
    seconds: float
    figures: tuple[Figure, ...] = ()
    posters: tuple[Poster, ...] = ()
    screens: tuple[Screen, ...] = ()
    shelves: tuple[Panel, ...] = ()
    place: Place = field(default_factory=Place)
    conditions: Conditions = field(default_factory=Conditions)
    mount: float = 2.3
    tilt: float = 13.0
    field_of_view: float = 44.0
