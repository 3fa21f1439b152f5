"""Detections are matched with boxed faces, and judgements counted."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.domain import Box, Detection, MaskLogits, Point, Reading
from maskwatch.errors import DataError
from maskwatch.lab.training.scenes import read_scenes
from maskwatch.lab.training.wholepath import Judgement, judge_scenes, match, path_figures
from maskwatch.vision.faces import FaceDetector
from maskwatch.vision.masks import MaskClassifier
from tests.fakes.vision import face

NOWHERE = (Point(0, 0),) * 5


def found(*corners: float) -> Detection:
    """Return a detection; only its box matters."""
    return Detection(Box(*corners), 0.9, NOWHERE)  # type: ignore[arg-type]  # five points, as a tuple of any length


def test_the_best_overlap_wins_and_each_box_is_used_once() -> None:
    """Of two detections of one face the better one matches."""
    boxes = [Box(0, 0, 10, 10), Box(50, 50, 60, 60)]
    detections = [found(3, 0, 13, 10), found(1, 0, 11, 10), found(100, 100, 110, 110)]
    assert match(detections, boxes) == {1: 0}


@given(st.lists(st.tuples(st.floats(0, 90), st.floats(0, 90), st.floats(1, 30)), max_size=6))
def test_every_box_matches_itself(places: list[tuple[float, float, float]]) -> None:
    """As many pairs as boxes, when the detections are the boxes."""
    boxes = [Box(x, y, x + side, y + side) for x, y, side in places]
    assert len(match([Detection(b, 1, NOWHERE) for b in boxes], boxes)) == len(boxes)  # type: ignore[arg-type]


def seen(label: int | None, said: str | None, *, height: float = 40, scene: int = 0) -> Judgement:
    """Return a judgement; a colon marks a rejection by the gate."""
    return Judgement(scene, label, height, said, said is not None and ":" not in said)


def test_precision_ignores_masks_worn_incorrectly() -> None:
    """ "No mask" is judged of a face without a mask, a masked one, no face, and a mask on the chin."""
    rows = [seen(1, "no_mask"), seen(0, "no_mask"), seen(None, "no_mask"), seen(2, "no_mask")]
    figures = path_figures(rows, 1, rounds=0)
    assert figures.precision[0] == pytest.approx(1 / 3)
    assert figures.strangers == 1


def test_undetected_and_rejected_faces_lower_the_recall() -> None:
    """Four faces without a mask: correct, undetected, rejected, and judged masked."""
    rows = [seen(1, "no_mask"), seen(1, None), seen(1, "turned_away:no_mask"), seen(1, "mask")]
    figures = path_figures(rows, 1, rounds=0)
    assert figures.recall[0] == 0.25
    assert figures.ungated_recall[0] == 0.5
    assert figures.gated == {"turned_away": 1}


def test_an_uncertain_face_is_not_judged_as_no_mask(hall: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A score of 0.7 is rejected for no mask and accepted for a mask; 0.9 is accepted."""

    def looked(score: float, logits: MaskLogits) -> list[str | None]:
        face_at = dataclasses.replace(face(44, 34, 40), score=score)
        monkeypatch.setattr(FaceDetector, "detect", lambda *_: [face_at])
        monkeypatch.setattr(MaskClassifier, "classify", lambda *_: [Reading(logits)])
        rows, _ = judge_scenes(read_scenes(hall)[:1], MaskClassifier())
        return [row.judged for row in rows if row.judged]

    bare, masked = MaskLogits(-3.0, 3.0, -3.0), MaskLogits(3.0, -3.0, -3.0)
    assert looked(0.9, bare) == ["no_mask"]
    assert looked(0.7, bare) == ["unsure_face:no_mask"]
    assert looked(0.7, masked) == ["mask"]


def test_small_faces_count_in_their_band_only() -> None:
    """The overall figures begin at 24 px."""
    rows = [seen(1, "mask", height=20), seen(1, "no_mask", height=24), seen(0, None, height=12)]
    figures = path_figures(rows, 1, rounds=0)
    assert figures.recall[0] == 1.0
    bands = {b.band: b for b in figures.bands}
    assert (bands["16-32 px"].bare, bands["16-32 px"].judged, bands["16-32 px"].judged_right) == (
        2,
        2,
        1,
    )
    assert (bands["<16 px"].masked, bands["<16 px"].masked_found) == (1, 0)


def test_without_judgements_figures_are_nan() -> None:
    """They are neither 0 nor 1."""
    assert math.isnan(path_figures([], 0, rounds=0).precision[0])


def test_an_unreadable_scene_is_named(hall: Path) -> None:
    """It is skipped; if no scene is readable, that is an error."""
    (hall.parent / "images/0.png").unlink()
    scenes = read_scenes(hall)
    rows, unreadable = judge_scenes(scenes, MaskClassifier())
    assert unreadable == [f"{hall.parent / 'images/0.png'}: No such file or directory"]
    assert {row.scene for row in rows} == {1}
    (hall.parent / "images/1.png").unlink()
    with pytest.raises(DataError, match="none of the scenes"):
        judge_scenes(scenes, MaskClassifier())
