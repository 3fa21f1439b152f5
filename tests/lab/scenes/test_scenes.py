"""Rendered scenes: encoded like a camera's clips, and in agreement with their ground truth."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from maskwatch.domain import Box
from maskwatch.lab.evaluation.rules import Duty, expected_events
from maskwatch.lab.scenes import Scene, default_heads, demo_scenes, render, scene_named
from maskwatch.lab.scenes.catalogue import KINDS
from maskwatch.lab.scenes.renderer import SceneRenderer
from maskwatch.lab.scenes.scene import Conditions, Figure, Step
from maskwatch.lab.scenes.sensor import Sensor
from maskwatch.lab.truth import PersonFrame, Truth, Wear, truth_path
from maskwatch.vision.faces import FaceDetector

_SIZE = (640, 360)
_WALK = (Step(0.0, -0.4, 4.5), Step(2.0, 0.2, 2.2))


def _scene(*figures: Figure, seconds: float = 2.0, conditions: Conditions | None = None) -> Scene:
    return Scene("t", "t", seconds, figures, conditions=conditions or Conditions())


def _render(scene: Scene, path: Path, *, seed: int = 0, fps: float = 10.0) -> Truth:
    return render(scene, path, size=_SIZE, fps=fps, seed=seed, faces=default_heads())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def _only(truth: Truth, visit: int = 0) -> list[PersonFrame]:
    return [p for frame in truth.frames for p in frame.people if p.visit == visit]


def test_the_same_seed_gives_the_same_clip_byte_for_byte(tmp_path: Path) -> None:
    scene = _scene(Figure(_WALK, Wear.MASKED), seconds=1.0)
    _render(scene, tmp_path / "a.mp4")
    _render(scene, tmp_path / "b.mp4")
    assert _digest(tmp_path / "a.mp4") == _digest(tmp_path / "b.mp4")
    assert truth_path(tmp_path / "a.mp4").read_bytes() == truth_path(tmp_path / "b.mp4").read_bytes()


def test_another_seed_gives_another_person(tmp_path: Path) -> None:
    scene = _scene(Figure(_WALK), seconds=0.5)
    _render(scene, tmp_path / "a.mp4")
    _render(scene, tmp_path / "b.mp4", seed=1)
    assert _digest(tmp_path / "a.mp4") != _digest(tmp_path / "b.mp4")


def test_the_truth_written_beside_the_clip_is_the_one_returned(tmp_path: Path) -> None:
    truth = _render(_scene(Figure(_WALK), seconds=0.5), tmp_path / "a.mp4")
    assert Truth.load(tmp_path / "a.truth.json") == truth


def test_an_interrupted_rendering_leaves_no_clip_that_looks_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Sensor, "expose", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _render(_scene(Figure(_WALK)), tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()
    assert not truth_path(tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_clip_is_encoded_as_by_a_camera(tmp_path: Path, codec: str) -> None:
    """No frame waits for a later one, and a key frame comes every two seconds."""
    path = tmp_path / "a.mp4"
    scene = _scene(Figure(_WALK), seconds=4.5)
    render(scene, path, size=(320, 180), fps=5, seed=0, faces=default_heads(), codec=codec)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert (stream.codec_context.name, stream.average_rate) == (codec, 5)
    assert [p.pts for p in packets] == [p.dts for p in packets]
    assert [i for i, p in enumerate(packets) if p.is_keyframe] == [0, 10, 20]


def test_a_detector_finds_the_faces_where_the_truth_has_them(tmp_path: Path) -> None:
    """Visible bare and masked faces of 30 pixels and more are found, and nothing else."""
    figures = (Figure(_WALK), Figure((Step(0.0, 0.9, 4.5), Step(2.0, 0.9, 2.4)), Wear.MASKED))
    truth = _render(_scene(*figures), tmp_path / "a.mp4")
    detector = FaceDetector(0.6)
    expected = found = surplus = 0
    for picture, frame in zip(_pictures(tmp_path / "a.mp4"), truth.frames, strict=True):
        faces = [Box(*p.face) for p in frame.people if p.face]
        boxes = [detection.box for detection in detector.detect(picture)]
        surplus += sum(all(box.iou(face) < 0.3 for face in faces) for box in boxes)
        for person in frame.people:
            assert person.face is not None
            if person.face[3] - person.face[1] >= 30 and person.visible >= 0.9:
                expected += 1
                found += any(box.iou(Box(*person.face)) >= 0.5 for box in boxes)
    assert expected >= 20
    assert found / expected >= 0.95
    assert surplus == 0


def test_a_standing_person_moves_and_a_mannequin_does_not(tmp_path: Path) -> None:
    stand = (Step(0.0, -0.5, 3.0), Step(9.0, -0.5, 3.0))
    mannequin = (Step(0.0, 0.7, 3.0), Step(9.0, 0.7, 3.0))
    scene = _scene(Figure(stand), Figure(mannequin, alive=False), seconds=4.0)
    truth = _render(scene, tmp_path / "a.mp4", fps=5)

    def spread(visit: int) -> float:
        faces = np.array([p.face for p in _only(truth, visit)])
        return float(np.ptp(faces[:, 0]))

    assert spread(0) > 2.0
    assert spread(1) == 0.0
    assert [visit.alive for visit in truth.visits] == [True, False]


def test_putting_a_mask_on_is_visible_and_in_the_truth() -> None:
    """The lower face changes and the eyes do not; the truth passes through `changing`."""
    scene = demo_scenes()[1]
    renderer = SceneRenderer(scene, _SIZE, 10.0, 0, default_heads())
    actor = renderer.actors[2]
    states = [actor.state(at).mask for at in (14.0, 15.3, 17.0)]
    assert states == [Wear.MASKED, Wear.CHANGING, Wear.BARE]
    masked, bare = actor.sprite(0, 0)[..., :3], actor.sprite(-1, 0)[..., :3]
    change = np.abs(masked.astype(int) - bare).mean(axis=2)
    mouth = actor.head.landmarks[3:].mean(axis=0).astype(int)
    eye = actor.head.landmarks[0].astype(int)
    assert change[mouth[1] - 8 : mouth[1] + 8, mouth[0] - 15 : mouth[0] + 15].mean() > 25
    assert change[eye[1] - 6 : eye[1] + 6, eye[0] - 8 : eye[0] + 8].mean() < 2


def test_the_truth_has_a_person_hidden_by_a_pillar_for_about_a_second() -> None:
    renderer = SceneRenderer(demo_scenes()[0], (320, 180), 5.0, 1, default_heads())
    hidden = []
    for _, frame in renderer.frames():
        hidden += [frame.at for p in frame.people if p.visit == 2 and p.visible < 0.2]
    middle = [at for at in hidden if at < 19]
    assert 0.8 <= middle[-1] - middle[0] <= 2.5


def test_a_hand_before_the_mouth_hides_it_and_no_verdict_is_due() -> None:
    cough = _scene(Figure((Step(0.0, 0.0, 2.6), Step(9.0, 0.0, 2.6)), coughs=(1.0,)), seconds=3.0)
    plain = _scene(Figure((Step(0.0, 0.0, 2.6), Step(9.0, 0.0, 2.6))), seconds=3.0)
    with_hand, without = (
        list(SceneRenderer(scene, _SIZE, 5.0, 0, default_heads()).frames()) for scene in (cough, plain)
    )
    visible = {frame.at: frame.people[0].visible for _, frame in with_hand}
    assert min(visible[0.8], visible[2.6]) > 0.9
    assert 0.5 < visible[1.4] < 0.65
    x1, y1, x2, y2 = (round(v) for v in with_hand[7][1].people[0].face or (0, 0, 0, 0))
    mouth = slice(round(y1 + 0.7 * (y2 - y1)), y2 - 4), slice(x1 + 12, x2 - 12)
    change = np.abs(with_hand[7][0][mouth].astype(int) - without[7][0][mouth])
    assert change.mean() > 12


def test_a_person_seen_from_behind_has_no_face() -> None:
    away = (Step(0.0, 0.0, 2.5), Step(4.0, 0.3, 7.0))
    renderer = SceneRenderer(_scene(Figure(away)), (320, 180), 5.0, 0, default_heads())
    people = [p for _, frame in renderer.frames() for p in frame.people]
    walking = people[3:]
    assert walking
    assert all(p.face is None and p.visible == 0 for p in walking)


def test_a_person_who_returns_looks_the_same() -> None:
    scene = scene_named("reentry", 4)
    renderer = SceneRenderer(scene, (320, 180), 5.0, 4, default_heads())
    first, second = renderer.actors
    assert first.head.name == second.head.name
    assert first.outfit == second.outfit
    assert {visit.person for visit in renderer.visits()} == {"same"}


def test_two_cameras_see_the_same_person() -> None:
    scenes = [scene_named(name, 2) for name in ("camera_a", "camera_b")]
    renderers = [SceneRenderer(scene, (320, 180), 5.0, 2, default_heads()) for scene in scenes]
    assert renderers[0].actors[0].outfit == renderers[1].actors[0].outfit
    assert renderers[0].actors[0].head.name == renderers[1].actors[0].head.name


def test_a_corrupted_packet_damages_frames_until_the_next_key_frame(tmp_path: Path) -> None:
    scene = _scene(Figure(_WALK), seconds=6.0, conditions=Conditions(damage=0.08))
    truth = _render(scene, tmp_path / "a.mp4")
    damaged = [i for i, frame in enumerate(truth.frames) if frame.damaged]
    assert damaged
    assert not truth.frames[0].damaged
    after = next(i for i in damaged if i + 1 not in damaged)
    assert (after + 1) % 20 == 0 or after + 1 == len(truth.frames)


def test_a_low_frame_rate_is_the_rate_of_the_file(tmp_path: Path) -> None:
    scene = _scene(Figure(_WALK), conditions=Conditions(keep=5))
    truth = _render(scene, tmp_path / "a.mp4", fps=10)
    assert truth.rate == 2.0
    assert len(_pictures(tmp_path / "a.mp4")) == len(truth.frames) == 4


def test_infrared_has_no_colour_and_dusk_is_dark(tmp_path: Path) -> None:
    day = _scene(Figure(_WALK), seconds=0.5)
    pictures = {}
    for name, conditions in (
        ("day", Conditions()),
        ("night", Conditions(infrared=True)),
        ("dusk", Conditions(brightness=0.35)),
    ):
        path = tmp_path / f"{name}.mp4"
        _render(replace(day, conditions=conditions), path)
        pictures[name] = _pictures(path)[-1].astype(int)
    assert np.ptp(pictures["night"], axis=2).max() <= 12
    assert np.ptp(pictures["day"], axis=2).max() > 60
    assert pictures["dusk"].mean() < 0.5 * pictures["day"].mean()


@pytest.mark.long
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.sweep] if number % 4 else [])
        for number, kind in enumerate(KINDS)
    ],
)
def test_every_kind_can_be_rendered_and_shows_its_people(kind: str) -> None:
    scene = scene_named(kind, 5)
    renderer = SceneRenderer(scene, (160, 90), 2.0 * scene.conditions.keep, 5, default_heads())
    visits = {p.visit for _, frame in renderer.frames() for p in frame.people}
    assert visits == set(range(len(scene.figures)))
    assert scene.kind in {kind, "two_cameras"}


@pytest.mark.long
@pytest.mark.sweep
def test_the_demo_has_four_visits_without_a_mask_and_none_in_the_hall() -> None:
    """`make demo` expects exactly these alerts."""
    required = []
    for scene in demo_scenes():
        renderer = SceneRenderer(scene, (640, 360), 5.0, 1, default_heads())
        frames = tuple(frame for _, frame in renderer.frames())
        truth = Truth(
            name=scene.name,
            kind=scene.kind,
            seed=1,
            size=(640, 360),
            rate=5.0,
            seconds=scene.seconds,
            visits=renderer.visits(),
            frames=frames,
        )
        events = expected_events(truth)
        assert all(event.duty is Duty.REQUIRED for event in events)
        required.append([event.visit for event in events])
    assert required == [[0, 2], [0, 2], []]


def test_a_panning_camera_loses_people_and_sees_them_again_where_they_are(tmp_path: Path) -> None:
    path = Step(0.0, 0.0, 3.2), Step(8.0, 0.05, 3.2)
    scene = _scene(Figure(path), seconds=8.0, conditions=Conditions(pan=30.0, pan_time=8.0))
    truth = _render(scene, tmp_path / "pan.mp4", fps=5.0)
    there = [bool(frame.people) for frame in truth.frames]
    assert there[0]
    assert not there[10]
    assert there[20]
    assert not there[30]
    detector = FaceDetector()
    for picture, frame in list(zip(_pictures(tmp_path / "pan.mp4"), truth.frames, strict=True))[:4]:
        (found,) = detector.detect(picture)
        (face,) = [Box(*person.face) for person in frame.people if person.face]
        assert found.box.iou(face) > 0.5
