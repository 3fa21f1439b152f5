"""Renders a scene: draws every frame, and records its ground truth."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from maskwatch.lab.arrays import Image
from maskwatch.lab.scenes.actor import Actor
from maskwatch.lab.scenes.encode import ClipWriter
from maskwatch.lab.scenes.figure import draw_actor
from maskwatch.lab.scenes.panels import PlayingScreen, draw_poster, draw_shelf, start_screen
from maskwatch.lab.scenes.portraits import Head
from maskwatch.lab.scenes.room import Layer, View, build
from maskwatch.lab.scenes.scene import Scene
from maskwatch.lab.scenes.sensor import Sensor
from maskwatch.lab.truth import Fake, PersonFrame, Truth, TruthFrame, Visit, truth_path

_HIDDEN = 255  # owner of pixels that a block covers


class SceneRenderer:
    """A scene in front of one camera: `frames` renders it from its start."""

    def __init__(
        self, scene: Scene, size: tuple[int, int], rate: float, seed: int, faces: Sequence[Head]
    ) -> None:
        self.scene = scene
        self.rate = rate / scene.conditions.keep
        self._seed = (seed, zlib.crc32(scene.kind.encode()))
        rng = np.random.default_rng(self._seed)
        self._pan = _Pan(scene, size)
        self.size = self._pan.drawn_size
        view = View(*self.size, mount=scene.mount, tilt=scene.tilt, field=self._pan.field_of_view)
        self.room = build(scene.place, view, rng)
        self._faces = faces
        # A generator of its own, so that two cameras on one person choose the same portrait.
        self._chosen = np.random.default_rng((*self._seed, 0)).permutation(len(faces))
        self.actors = self._make_actors()
        self.fakes: list[Fake] = []
        self.screens: list[PlayingScreen] = []
        self._draw_panels(rng)
        self._sensor = Sensor(scene.conditions, size, self.rate, rng)
        self._order = sorted(self.room.layers, key=lambda layer: -layer.z)

    def _make_actors(self) -> list[Actor]:
        names = [figure.person or str(i) for i, figure in enumerate(self.scene.figures)]
        return [
            Actor(
                figure,
                self._portrait(figure.face, names.index(names[i])),
                self._rng_of(figure.person, i),
            )
            for i, figure in enumerate(self.scene.figures)
        ]

    def _draw_panels(self, rng: np.random.Generator) -> None:
        """Draw shelves and posters, and start the screens."""
        picture = self.room.picture
        for panel in self.scene.shelves:
            draw_shelf(picture, self.room, panel, rng)
        for i, poster in enumerate(self.scene.posters):
            head = self._portrait(poster.face, len(self.actors) + i)
            self.fakes.append(draw_poster(picture, self.room, poster, head, rng))
        for i, screen in enumerate(self.scene.screens):
            head = self._portrait(screen.face, 7 + i)
            self.screens.append(start_screen(self.room, screen, head, rng))
        self.fakes += [screen.fake for screen in self.screens]

    def _portrait(self, face: int | None, number: int) -> Head:
        """Return the portrait `face`, or the one that the seed assigns to `number`."""
        chosen = int(self._chosen[number % len(self._chosen)]) if face is None else face
        return self._faces[chosen % len(self._faces)]

    def _rng_of(self, person: str, number: int) -> np.random.Generator:
        """Return the generator of one person: the same for each visit of a named one."""
        key = zlib.crc32(person.encode()) if person else number + 1
        return np.random.default_rng((*self._seed, key))

    def frames(self) -> Iterator[tuple[Image, TruthFrame]]:
        """Yield each frame as planar YUV (see `Sensor.expose`) with its truth."""
        for number in range(round(self.scene.seconds * self.rate)):
            at = number / self.rate
            picture, people = self._draw(at)
            yield self._sensor.expose(picture, at), TruthFrame(at=round(at, 4), people=people)

    def _draw(self, at: float) -> tuple[Image, tuple[PersonFrame, ...]]:
        """Return the picture at a time, before the sensor, and the people in it."""
        picture = self.room.picture.copy()
        owners = np.zeros((-(-self.size[1] // 4), -(-self.size[0] // 4)), np.uint8)
        for screen in self.screens:
            screen.draw(picture, at)
        present = [(i, actor.state(at)) for i, actor in enumerate(self.actors) if actor.present(at)]
        drawn = []
        layers = list(self._order)
        for i, state in sorted(present, key=lambda pair: -pair[1].z):
            while layers and layers[0].z > state.z:
                _cover(picture, owners, layers.pop(0))
            drawn.append(draw_actor(picture, owners, i, self.actors[i], state, self))
        for layer in layers:
            _cover(picture, owners, layer)
        left, picture, owners = self._pan.seen(at, picture, owners)
        seen = [person.seen_from(left, self._pan.size) for person in drawn if person is not None]
        people = [person.truth(owners) for person in seen if person is not None]
        return picture, tuple(sorted(people, key=lambda person: person.visit))

    def light(self, x: float, z: float) -> float:
        """Return the brightness of a person at a place: by the lamps, or by the camera's infra-red."""
        if self.scene.conditions.infrared:
            return float(np.clip((3.4 / max(z, 0.8)) ** 1.25, 0.3, 1.7))
        return self.room.light_at(x, z)

    @property
    def smear(self) -> float:
        """Seconds that the shutter is open."""
        return self.scene.conditions.exposure / self.rate / self.scene.conditions.keep

    def visits(self) -> tuple[Visit, ...]:
        """Return the visits of the scene, in the order of its figures."""
        return tuple(
            Visit(
                person=actor.figure.person or f"person-{i + 1}",
                portrait=actor.head.name,
                style=actor.style.value if actor.wears_mask else "",
                alive=actor.figure.alive,
            )
            for i, actor in enumerate(self.actors)
        )


class _Pan:
    """A camera that turns from side to side: it sees a part of a wider picture."""

    def __init__(self, scene: Scene, size: tuple[int, int]) -> None:
        self.size = size
        conditions = scene.conditions
        half = math.radians(scene.field_of_view) / 2
        focal = size[0] / 2 / math.tan(half)
        margin = focal * math.tan(half + math.radians(conditions.pan)) - size[0] / 2
        self._margin = 4 * math.ceil(margin / 4) if conditions.pan else 0
        self._time = conditions.pan_time
        self.drawn_size = size[0] + 2 * self._margin, size[1]
        widened = math.degrees(2 * math.atan(self.drawn_size[0] / 2 / focal))
        self.field_of_view = widened if self._margin else scene.field_of_view

    def seen(self, at: float, picture: Image, owners: Image) -> tuple[int, Image, Image]:
        """Return the first column that is seen at a time, and the parts seen of picture and owners."""
        turn = math.sin(2 * math.pi * at / self._time)
        left = self._margin + 4 * round(self._margin * turn / 4)
        right = left + self.size[0]
        return left, picture[:, left:right], owners[:, left // 4 : -(-right // 4)]


def _cover(picture: Image, owners: Image, layer: Layer) -> None:
    x1, y1, x2, y2 = layer.extent
    if x2 <= x1:
        return
    area, matte = picture[y1:y2, x1:x2], layer.matte[y1:y2, x1:x2, None]
    area[:] = area * (1 - matte) + layer.bgr[y1:y2, x1:x2] * matte
    quarter = cv2.resize(layer.matte, (owners.shape[1], owners.shape[0]), interpolation=cv2.INTER_AREA)
    owners[quarter > 0.5] = _HIDDEN


def render(
    scene: Scene,
    path: Path,
    *,
    size: tuple[int, int] = (1280, 720),
    fps: float = 15.0,
    seed: int = 0,
    faces: Sequence[Head],
    codec: str = "h264",
) -> Truth:
    """Render `scene` into `path` (MP4) and its ground truth beside it; return the truth.

    The same arguments give the same clip, byte for byte, with the same libraries. The truth is
    written last: a clip with a truth file is complete.
    """
    renderer = SceneRenderer(scene, size, fps, seed, faces)
    conditions = scene.conditions
    frames: list[TruthFrame] = []
    unfinished = path.with_suffix(".part.mp4")
    with ClipWriter(
        unfinished,
        size,
        renderer.rate,
        rate_factor=conditions.rate_factor,
        codec=codec,
        damage=conditions.damage,
        rng=np.random.default_rng(seed),
    ) as writer:
        for planes, frame in renderer.frames():
            writer.write(planes)
            frames.append(frame)
    truth = Truth(
        name=scene.name,
        kind=scene.kind,
        seed=seed,
        size=size,
        rate=renderer.rate,
        seconds=scene.seconds,
        visits=renderer.visits(),
        frames=_mark_damaged(frames, writer.damaged, max(1, round(2 * renderer.rate))),
        fakes=tuple(renderer.fakes),
        ignore=tuple(screen.ignore for screen in renderer.screens),
    )
    unfinished.replace(path)
    truth.save(truth_path(path))
    return truth


def _mark_damaged(frames: list[TruthFrame], damaged: list[int], group: int) -> tuple[TruthFrame, ...]:
    """Return the frames, with those up to the key frame after each damaged one marked."""
    reached = {n for first in damaged for n in range(first, (first // group + 1) * group)}
    return tuple(
        TruthFrame(at=frame.at, people=frame.people, damaged=i in reached)
        for i, frame in enumerate(frames)
    )
