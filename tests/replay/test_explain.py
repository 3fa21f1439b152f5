"""The explanation gives for each track the reasons for its report or its absence."""

from __future__ import annotations

from collections.abc import Sequence

from maskwatch.analysis.pipeline import Pipeline
from maskwatch.config.schema import CameraConfig
from maskwatch.domain import Detection, ReplayIds
from maskwatch.replay.explain import Explanation, evidence_svg
from maskwatch.replay.replay import ReplayStep
from maskwatch.secrets import SecretUrl
from maskwatch.telemetry.meter import Meter
from maskwatch.vision.attention import WholeSearch
from tests.fakes.vision import MASK, ScriptedClassifier, ScriptedDetector, face, frame

_CAMERA = CameraConfig(name="door", url=SecretUrl("clip.mp4"))


def _explanation(
    script: Sequence[Sequence[Detection]], classifier: ScriptedClassifier | None = None
) -> Explanation:
    pipeline = Pipeline(
        _CAMERA,
        search=WholeSearch(ScriptedDetector(script)),
        classifier=classifier or ScriptedClassifier(),
        ids=ReplayIds("clip", "door"),
        meter=Meter(),
    )
    explanation = Explanation(_CAMERA)
    for index in range(len(script)):
        shown = frame(index, index / 5)
        explanation.add(ReplayStep(shown, shown.moment, pipeline.process(shown)))
    return explanation


def _text(script: Sequence[Sequence[Detection]], classifier: ScriptedClassifier | None = None) -> str:
    return "\n".join(_explanation(script, classifier).lines())


def test_a_reported_walker_is_explained_with_readings_and_times() -> None:
    text = _text([[face(80 + 40 * i, 150)] for i in range(10)])
    assert "person 1: 0.20 s to 1.80 s" in text
    assert "motion of its own since" in text
    assert "reported  no mask: opened 0.40 s" in text


def test_a_poster_is_explained_by_its_missing_motion() -> None:
    text = _text([[face(300, 150)]] * 20)
    assert "no motion of its own (a poster?)" in text
    assert "held      from" in text
    assert "why       not reported: the face has shown no motion of its own" in text


def test_a_masked_person_is_explained_by_the_verdict() -> None:
    text = _text([[face(80 + 40 * i, 150)] for i in range(10)], ScriptedClassifier(lambda _: MASK))
    assert "why       not reported: the verdict is mask" in text


def test_a_rejected_face_is_explained_with_the_reasons() -> None:
    text = _text([[face(80 + 40 * i, 150, yaw=1.1, score=0.7)] for i in range(10)])
    assert "not judged: 9 turned_away" in text
    assert "no face of this track was fit to be judged" in text


def test_insufficient_evidence_is_given_in_nats() -> None:
    text = _text([[face(80 + 40 * i, 150)] for i in range(2)])
    assert "of the +6.9 nats it takes" in text


def test_the_plot_draws_each_judged_track_with_its_thresholds() -> None:
    explanation = _explanation(
        [[face(80 + 30 * i, 80), face(80 + 30 * i, 250, yaw=1.1, score=0.7)] for i in range(12)]
    )
    drawing = evidence_svg(explanation)
    assert drawing.count("<polyline") == 1
    assert drawing.count("stroke-dasharray") == 2
    assert ">opened<" in drawing
