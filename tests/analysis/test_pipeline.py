"""From frames to changes: one violation per person and visit, and none about a poster."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.analysis.pipeline import Pipeline
from maskwatch.analysis.results import FrameResult
from maskwatch.config.schema import CameraConfig, DecisionConfig, Pictures, ZoneConfig, ZoneRule
from maskwatch.domain import (
    Box,
    Change,
    ChangeKind,
    CloseReason,
    Detection,
    Frame,
    MaskLogits,
    ReplayIds,
    Verdict,
)
from maskwatch.privacy.anonymize import Anonymizer
from maskwatch.privacy.vault import extract, new_key, open_sealed
from maskwatch.secrets import SecretUrl
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from maskwatch.vision.attention import WholeSearch
from tests.fakes.vision import (
    EPOCH,
    MASK,
    NO_MASK,
    ScriptedClassifier,
    ScriptedDetector,
    face,
    frame,
    picture,
)

Script = list[list[Detection]]
_RATE = 5.0
_CAMERA = CameraConfig(name="door", url=SecretUrl("clip.mp4"))


def _walk(frames: int = 10, start: float = 80.0, step: float = 40.0, y: float = 150.0) -> Script:
    return [[face(start + step * index, y)] for index in range(frames)]


class _PipelineRun:
    """A pipeline run over a script, with its results."""

    def __init__(
        self,
        script: Script,
        *,
        classifier: ScriptedClassifier | None = None,
        camera: CameraConfig = _CAMERA,
        images: Sequence[np.ndarray] = (),
    ) -> None:
        self.meter, self.classifier = Meter(), classifier or ScriptedClassifier()
        self.detector = ScriptedDetector(script)
        self.pipeline = Pipeline(
            camera,
            search=WholeSearch(self.detector),
            classifier=self.classifier,
            ids=ReplayIds("clip", camera.name),
            meter=self.meter,
        )
        self.results: list[FrameResult] = []
        for index in range(len(script)):
            image = images[index] if images else None
            self.results.append(self.pipeline.process(frame(index, index / _RATE, image=image)))

    def leave(self) -> _PipelineRun:
        """Let every track end."""
        now = len(self.results) / _RATE + 15.0
        self.results.append(self.pipeline.idle(EPOCH + timedelta(seconds=now), now))
        return self

    @property
    def changes(self) -> list[Change]:
        return [change for result in self.results for change, _ in result.changes]

    @property
    def pictures(self) -> list[bytes]:
        return [jpeg for result in self.results for _, jpeg in result.changes if jpeg]

    def counted(self, name: str, **labels: str) -> float:
        key = tuple(sorted({"camera": "door", **labels}.items()))
        samples = self.meter.snapshot().samples
        return sum(sample.value for sample in samples if (sample.name, sample.labels) == (name, key))


def _kinds(changes: Sequence[Change]) -> list[ChangeKind]:
    return [change.kind for change in changes]


def test_a_walker_without_a_mask_is_one_violation_closed_as_left() -> None:
    run = _PipelineRun(_walk(12)).leave()
    opened, *_, closed = run.changes
    assert _kinds(run.changes).count(ChangeKind.OPENED) == 1
    assert closed.violation.close_reason is CloseReason.LEFT
    assert opened.violation.verdict is Verdict.NO_MASK
    assert opened.violation.first_seen == EPOCH
    assert opened.at - EPOCH <= timedelta(seconds=0.6)
    assert closed.violation.ended == EPOCH + timedelta(seconds=11 / _RATE)
    assert {change.violation.id for change in run.changes} == {opened.violation.id}
    assert run.counted(catalogue.VIOLATIONS, zone="", verdict="no_mask") == 1
    assert run.counted(catalogue.PEOPLE, zone="", verdict="no_mask") == 1


def test_people_of_every_zone_and_verdict_are_counted_from_0() -> None:
    zones = tuple(ZoneConfig(name=name, polygon=((0, 0), (1, 0), (1, 1))) for name in ("till", "entry"))
    run = _PipelineRun([], camera=msgspec.structs.replace(_CAMERA, zones=zones))
    samples = [sample for sample in run.meter.snapshot().samples if sample.name == catalogue.PEOPLE]
    counted = {(dict(s.labels)["zone"], dict(s.labels)["verdict"]): s.value for s in samples}
    assert counted == {(zone, verdict): 0 for zone in ("", "till", "entry") for verdict in Verdict}


def test_a_masked_walker_is_counted_but_not_reported() -> None:
    run = _PipelineRun(_walk(12), classifier=ScriptedClassifier(lambda _: MASK)).leave()
    assert run.changes == []
    assert run.counted(catalogue.PEOPLE, zone="", verdict="mask") == 1


def test_only_a_frame_with_a_matched_detection_is_read() -> None:
    """Mutation "coasting tracks vote": the track goes on for two seconds without any detection."""
    run = _PipelineRun([*_walk(2), *([[]] * 10)])
    assert [view.detected for view in run.results[-1].tracks] == [False]
    assert len(run.classifier.read) == 2
    assert run.changes == []


def test_a_face_that_fails_the_quality_gate_is_not_read() -> None:
    """Mutation "UNKNOWN votes": turned away, too small, doubtful."""
    script = [
        [
            face(80 + 40 * i, 60, score=0.75, yaw=1.1),
            face(80 + 40 * i, 150, 28),
            face(80 + 40 * i, 250, score=0.4),
        ]
        for i in range(12)
    ]
    run = _PipelineRun(script).leave()
    assert run.classifier.read == []
    assert run.changes == []
    assert run.counted(catalogue.READINGS, result="turned_away") == 12
    assert run.counted(catalogue.READINGS, result="too_small") == 12


def test_a_poster_is_never_reported() -> None:
    run = _PipelineRun([[face(300, 150)]] * 50).leave()
    assert run.changes == []
    assert run.counted(catalogue.PEOPLE, zone="", verdict="no_mask") == 0


def test_a_person_who_turns_towards_the_camera_is_reported_from_then_on() -> None:
    """Turned by more than 45 degrees all the way, then towards the camera."""
    away = [[face(80 + 20 * index, 150, yaw=0.8)] for index in range(12)]
    towards = [[face(320 + 20 * index, 150)] for index in range(4)]
    assert _PipelineRun(away).leave().changes == []
    opened = _PipelineRun(away + towards).changes[0]
    assert opened.kind is ChangeKind.OPENED


_CAMERA_MOTIONS = pytest.mark.parametrize(
    "way",
    [(1.0, 0.0, 9.0), (1.0, 0.0, -21.0), (1.012, 0.0, 0.0), (1.0, 0.8, 2.0)],
    ids=["pans", "pans fast", "zooms", "rolls"],
)
"""How a camera moves from frame to frame: size, degrees, pixels across."""


def _filmed(way: tuple[float, float, float], frames: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return pictures of a wall by a moving camera, and each one's motion as a matrix (3, 3)."""
    blobs = np.random.default_rng(5).integers(40, 210, (45, 160, 3), dtype=np.uint8)
    wall = cv2.resize(blobs, (1600, 450), interpolation=cv2.INTER_CUBIC)
    size, degrees, across = way
    once = np.vstack([cv2.getRotationMatrix2D((320, 180), degrees, size), (0, 0, 1)])
    once[0, 2] += across
    moves = [np.array([[1, 0, -480], [0, 1, -45], [0, 0, 1]], float)]
    for _ in range(frames - 1):
        moves.append(once @ moves[-1])
    pictures = [
        cv2.warpAffine(wall, move[:2], (640, 360), borderMode=cv2.BORDER_REFLECT) for move in moves
    ]
    return pictures, moves


@_CAMERA_MOTIONS
def test_a_poster_filmed_by_a_moving_camera_is_not_reported(way: tuple[float, float, float]) -> None:
    """It crosses the picture, grows and turns, but together with its wall."""
    pictures, moves = _filmed(way, 15)
    start = (320.0 - 8 * way[2], 170.0)
    script = []
    for move in moves:
        x, y, _ = move @ np.linalg.inv(moves[0]) @ (*start, 1)
        script.append([face(x, y, 48 * float(np.sqrt(np.linalg.det(move))))])
    assert _PipelineRun(script, images=pictures).leave().changes == []


@_CAMERA_MOTIONS
def test_a_walker_filmed_by_a_moving_camera_is_reported(way: tuple[float, float, float]) -> None:
    pictures, _ = _filmed(way, 12)
    script = [[face(150 + 34 * index, 170)] for index in range(12)]
    opened = [change.kind for change in _PipelineRun(script, images=pictures).changes]
    assert opened[:1] == [ChangeKind.OPENED]


def test_a_masked_person_who_passes_a_poster_is_not_reported() -> None:
    """The poster's readings do not count for the person to whom its track may move."""
    script = [[face(300, 150), face(60 + 30 * i, 152)] for i in range(20)]
    script = [pair if abs(pair[1].box.centre.x - 300) > 40 else pair[1:] for pair in script]
    classifier = ScriptedClassifier(
        lambda d: NO_MASK if d.box.centre == face(300, 150).box.centre else MASK
    )
    still = [[face(300, 150)]] * 15
    run = _PipelineRun([*still, *script, *still], classifier=classifier).leave()
    assert run.changes == []


def test_a_mask_put_on_closes_the_violation_and_taken_off_opens_another() -> None:
    def logits_for(detection: Detection) -> MaskLogits:
        return MASK if 14 <= round((detection.box.centre.x - 80) / 12) < 28 else NO_MASK

    run = _PipelineRun(_walk(45, step=12.0), classifier=ScriptedClassifier(logits_for))
    assert _kinds(run.changes)[:3] == [ChangeKind.OPENED, ChangeKind.CLOSED, ChangeKind.OPENED]
    assert run.changes[1].violation.close_reason is CloseReason.MASKED
    assert len({change.violation.id for change in run.changes}) == 2


def test_a_person_hidden_for_two_seconds_keeps_the_violation() -> None:
    walk = _walk(30, step=15.0)
    run = _PipelineRun([*walk[:10], *([[]] * 10), *walk[20:]]).leave()
    assert _kinds(run.changes).count(ChangeKind.OPENED) == 1


def _stands(x: float, frames: int, height: float = 48.0) -> Script:
    """A person who takes one step to the right and stops."""
    return [[face(x + 20 * (index > 0), 150, height)] for index in range(frames)]


def test_a_person_who_turned_away_for_seconds_is_not_reported_again() -> None:
    run = _PipelineRun([*_stands(300, 8), *([[]] * 30), *_stands(310, 8)]).leave()
    opened, *_, closed = run.changes
    assert _kinds(run.changes) == [ChangeKind.OPENED, ChangeKind.CLOSED]
    assert closed.violation.id == opened.violation.id
    assert closed.violation.close_reason is CloseReason.LEFT
    assert run.counted(catalogue.VIOLATIONS, zone="", verdict="no_mask") == 1
    assert run.counted(catalogue.PEOPLE, zone="", verdict="no_mask") == 1


def test_a_person_who_came_while_another_was_lost_is_reported() -> None:
    """The second one was seen beside the first, so they cannot be the same."""
    both = [[*one, *other] for one, other in zip(_stands(300, 8), _stands(400, 8), strict=True)]
    run = _PipelineRun([*_stands(300, 8), *both, *_stands(400, 12)]).leave()
    assert _kinds(run.changes).count(ChangeKind.OPENED) == 2


def test_where_two_people_appear_for_one_who_was_lost_both_are_reported() -> None:
    both = [[*one, *other] for one, other in zip(_stands(270, 8), _stands(340, 8), strict=True)]
    run = _PipelineRun([*_stands(300, 8), *([[]] * 20), *both]).leave()
    assert _kinds(run.changes).count(ChangeKind.OPENED) == 3


def test_a_crowd_is_read_in_turn_with_a_maximum_per_frame() -> None:
    crowd = [[face(40 + 60 * n + 8 * i, 100 + 30 * (n % 3)) for n in range(9)] for i in range(12)]
    run = _PipelineRun(crowd)
    assert max(len(o.tracks) for o in run.results) == 9
    assert len(run.classifier.read) <= 6 * 12
    assert {change.violation.track for change in run.changes} == set(range(1, 10))


@pytest.mark.parametrize(
    ("zone", "opens"),
    [
        (ZoneConfig(name="z", polygon=((0, 0), (1, 0), (1, 1), (0, 1)), rule=ZoneRule.COUNTED), 0),
        (ZoneConfig(name="z", polygon=((0, 0), (1, 0), (1, 1), (0, 1)), rule=ZoneRule.IGNORED), 0),
        (ZoneConfig(name="z", polygon=((0, 0), (1, 0), (1, 1), (0, 1)), rule=ZoneRule.PRIVATE), 0),
        (ZoneConfig(name="z", polygon=((0, 0), (1, 0), (1, 1), (0, 1)), dwell=60), 0),
        (ZoneConfig(name="z", polygon=((0.5, 0), (1, 0), (1, 1), (0.5, 1))), 1),
    ],
)
def test_zones_decide_where_a_violation_may_open(zone: ZoneConfig, opens: int) -> None:
    run = _PipelineRun(_walk(14), camera=msgspec.structs.replace(_CAMERA, zones=(zone,)))
    opened = [change for change in run.changes if change.kind is ChangeKind.OPENED]
    assert len(opened) == opens
    assert all(change.violation.zone == "z" for change in opened)


def test_leaving_the_zone_neither_closes_nor_repeats_the_violation() -> None:
    half = ZoneConfig(name="left", polygon=((0, 0), (0.5, 0), (0.5, 1), (0, 1)))
    there_and_back = [*_walk(12), *reversed(_walk(12))]
    run = _PipelineRun(there_and_back, camera=msgspec.structs.replace(_CAMERA, zones=(half,)))
    assert _kinds(run.changes).count(ChangeKind.OPENED) == 1
    assert ChangeKind.CLOSED not in _kinds(run.changes)
    run.leave()
    assert run.changes[-1].violation.zones == ("left", "", "left")


def test_the_picture_covers_the_face_and_shows_the_body() -> None:
    run = _PipelineRun(_walk(8))
    image = cv2.imdecode(np.frombuffer(run.pictures[0], np.uint8), cv2.IMREAD_COLOR)
    at = next(i for i, result in enumerate(run.results) if result.changes)
    box = run.detector.script[at][0].box
    source = picture(at).astype(int)
    face_area = np.s_[int(box.y1) + 4 : int(box.y2) - 4, int(box.x1) + 4 : int(box.x2) - 4]
    legs = np.s_[int(box.y2) + 40 : int(box.y2) + 120, int(box.x1) : int(box.x2)]
    assert np.corrcoef(image[face_area].ravel(), source[face_area].ravel())[0, 1] < 0.3
    assert np.corrcoef(image[legs].ravel(), source[legs].ravel())[0, 1] > 0.5


def _approach(people: int, frames: int = 12) -> Script:
    """People side by side who come nearer, so that each frame makes a better picture of each."""
    return [
        [face(50 + 90 * n + 4 * i, 120, height=30 * 1.12**i) for n in range(people)]
        for i in range(frames)
    ]


def test_a_picture_is_made_when_it_is_sent_and_of_its_own_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twelve frames, each with a better face: two pictures are sent, so two are made."""
    made: list[np.ndarray] = []
    render = Anonymizer.picture

    def recorded(self: Anonymizer, image: np.ndarray, *rest: Sequence[Box]) -> tuple[np.ndarray, float]:
        made.append(image)
        return render(self, image, *rest)

    monkeypatch.setattr(Anonymizer, "picture", recorded)
    run = _PipelineRun(_approach(1)).leave()
    assert len(made) == len(run.pictures) == 2
    assert any(np.array_equal(made[-1], picture(index)) for index in (9, 10, 11))


def test_few_frames_are_held_for_pictures_that_wait() -> None:
    """Seven people have each a better picture that waits for its update."""
    run = _PipelineRun(_approach(7))
    assert len(run.changes) == 7
    best = run.pipeline._pictures._best.values()
    waiting = [one.unsent for one in best if one.unsent is not None]
    assert len(waiting) == 7
    assert sum(not isinstance(one, bytes) for one in waiting) == 4


def test_pictures_can_be_switched_off() -> None:
    run = _PipelineRun(_walk(8), camera=msgspec.structs.replace(_CAMERA, pictures=Pictures.NONE))
    assert run.changes
    assert run.pictures == []


def test_the_vault_seals_the_face_and_the_picture_stays_covered() -> None:
    private, public = new_key()
    camera = msgspec.structs.replace(_CAMERA, pictures=Pictures.VAULT, vault_key=public)
    run = _PipelineRun(_walk(8), camera=camera)
    plain = _PipelineRun(_walk(8))
    sealed = extract(run.pictures[0])
    assert sealed is not None
    face_jpeg = open_sealed(private, sealed, str(run.changes[0].violation.id).encode())
    opened = cv2.imdecode(np.frombuffer(face_jpeg, np.uint8), cv2.IMREAD_COLOR)
    at = next(i for i, result in enumerate(run.results) if result.changes)
    assert opened.shape[0] == pytest.approx(run.detector.script[at][0].box.height * 1.5, abs=2)
    shown, covered = (
        cv2.imdecode(np.frombuffer(one.pictures[0], np.uint8), cv2.IMREAD_COLOR) for one in (run, plain)
    )
    np.testing.assert_array_equal(shown, covered)


def test_what_is_open_at_the_end_is_closed_as_interrupted_and_counted() -> None:
    run = _PipelineRun(_walk(8))
    end = run.pipeline.close(EPOCH + timedelta(seconds=9))
    ((change, _),) = end.changes
    assert change.violation.close_reason is CloseReason.INTERRUPTED
    assert change.violation.ended == EPOCH + timedelta(seconds=9)
    assert sum(row.seen for row in end.minutes) == 1
    assert run.pipeline.close(EPOCH + timedelta(seconds=10)).changes == []


def test_an_empty_still_picture_is_rarely_analysed() -> None:
    empty = picture(0)
    run = _PipelineRun([])
    results = [run.pipeline.process(frame(i, i / _RATE, image=empty)) for i in range(50)]
    assert sum(result.analysed for result in results) == run.detector.calls <= 12
    assert run.counted(catalogue.FRAMES, fate="gated") == 50 - run.detector.calls


def test_every_name_and_label_counted_is_in_the_catalogue() -> None:
    run = _PipelineRun(_walk(12)).leave()
    snapshot = run.meter.snapshot()
    for sample in (*snapshot.samples, *snapshot.histograms):
        assert catalogue.problem(sample.name, dict(sample.labels)) == ""


def test_the_same_frames_give_identical_changes_and_pictures() -> None:
    one, two = (_PipelineRun(_walk(15)).leave() for _ in range(2))
    assert msgspec.json.encode(one.changes) == msgspec.json.encode(two.changes)
    assert one.pictures == two.pictures


_FACE = st.builds(face, st.floats(0, 640), st.floats(0, 360), st.floats(20, 120), st.floats(0.3, 1))
_STEP = st.tuples(
    st.lists(_FACE, max_size=3),
    st.floats(-5, 5),  # monotonic seconds since the frame before; negative: a clock that goes back
    st.floats(-1e5, 1e5),  # jump of the wall clock in seconds
    st.booleans(),  # whether the classifier reads no mask
)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.lists(_STEP, max_size=25))
def test_any_detections_and_any_clock_give_valid_lifecycles(
    steps: list[tuple[list[Detection], float, float, bool]],
) -> None:
    """Opened once, closed once, numbers without a gap, times in order."""
    classifier = ScriptedClassifier()
    camera = msgspec.structs.replace(_CAMERA, decision=DecisionConfig(cooldown=0.0, still_after=0.5))
    run = _PipelineRun([], classifier=classifier, camera=camera)
    run.detector.script = [detections for detections, *_ in steps]
    moment = 0.0
    for index, (_, passed, jump, unmasked) in enumerate(steps):
        moment += passed
        classifier.logits_for = lambda _, unmasked=unmasked: NO_MASK if unmasked else MASK
        at = EPOCH + timedelta(seconds=moment + jump)
        run.results.append(run.pipeline.process(frame(index, moment, at=at)))
    run.results.append(run.pipeline.close(EPOCH))
    lifecycles: dict[object, list[Change]] = {}
    for change in run.changes:
        lifecycles.setdefault(change.violation.id, []).append(change)
    for changes in lifecycles.values():
        kinds = _kinds(changes)
        assert kinds[0] is ChangeKind.OPENED
        assert kinds[-1] is ChangeKind.CLOSED
        assert set(kinds[1:-1]) <= {ChangeKind.UPDATED}
        assert [change.number for change in changes] == list(range(1, len(changes) + 1))
        assert [change.at for change in changes] == sorted(change.at for change in changes)
        last = changes[-1].violation
        assert last.ended is not None
        assert last.first_seen <= last.started <= last.ended


@pytest.mark.parametrize("kind", [Pictures.ANONYMIZED, Pictures.SUBJECT])
def test_a_snapshot_covers_every_face_and_everything_but_people(kind: Pictures) -> None:
    """Also that of a reported person, and where `pictures` keeps the subject's face."""
    person, behind = face(240.0, 100.0), face(270.0, 200.0, height=32.0, score=0.4)
    run = _PipelineRun([[person]] * 12, camera=msgspec.structs.replace(_CAMERA, pictures=kind))
    run.detector.script.append([person, behind])  # for the detection of the snapshot itself
    last = frame(12, 2.4)
    jpeg = run.pipeline.snapshot(last)
    assert jpeg is not None
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    for covered in (person, behind):
        box = covered.box
        place = slice(int(box.y1), int(box.y2)), slice(int(box.x1), int(box.x2))
        assert _correlation(shown[place], last.image[place]) < 0.35
    background = slice(300, 350), slice(20, 120)
    assert _correlation(shown[background], last.image[background]) < 0.35
    body = slice(260, 350), slice(200, 280)
    assert _correlation(shown[body], last.image[body]) > 0.8


class _PartialSearch(WholeSearch):
    """Finds the scripted faces frame by frame, and another one only where a picture shows a body."""

    complete = False

    def __init__(self, detector: ScriptedDetector, hidden: Detection) -> None:
        super().__init__(detector)
        self._hidden = hidden

    def find_in(self, frame: Frame, areas: Sequence[Box]) -> list[Detection]:  # noqa: ARG002
        assert any(area.intersection(self._hidden.box) > 0 for area in areas)
        return [self._hidden]


@pytest.mark.parametrize("kind", [Pictures.ANONYMIZED, Pictures.SUBJECT])
def test_a_face_that_no_look_covered_is_coarse_in_a_violations_picture(kind: Pictures) -> None:
    hidden = face(240.0, 260.0, height=40.0)
    detector = ScriptedDetector(_walk(start=200.0, step=10.0, y=100.0))
    pipeline = Pipeline(
        msgspec.structs.replace(_CAMERA, pictures=kind),
        search=_PartialSearch(detector, hidden),
        classifier=ScriptedClassifier(),
        ids=ReplayIds("clip", "door"),
        meter=Meter(),
    )
    frames = [frame(index, index / _RATE) for index in range(10)]
    results = [pipeline.process(one) for one in frames]
    at = next(index for index, result in enumerate(results) if result.changes)
    jpeg = results[at].changes[0][1]
    assert jpeg is not None
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    box = hidden.box
    place = slice(int(box.y1), int(box.y2)), slice(int(box.x1), int(box.x2))
    assert _correlation(shown[place], frames[at].image[place]) < 0.35


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two patches in grey: 1 for the same, about 0 where noise was made coarse."""
    a, b = (cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY).ravel().astype(float) for patch in (one, other))
    return float(np.corrcoef(a, b)[0, 1])
