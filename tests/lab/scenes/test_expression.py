"""People of scenes who hold still blink, breathe and speak."""

from __future__ import annotations

import numpy as np

from maskwatch.lab.scenes import catalogue, default_heads
from maskwatch.lab.scenes.actor import Actor
from maskwatch.lab.scenes.expression import (
    NEUTRAL,
    STEPS,
    Expression,
    ExpressionSchedule,
    with_expression,
)
from maskwatch.lab.scenes.scene import Figure, Step

HEAD = default_heads()[0]


def changed_rows(expression: Expression) -> tuple[int, int]:
    """Return the first and the last row of the head that the expression changes."""
    difference = with_expression(HEAD, expression).bgr.astype(int) - HEAD.bgr
    rows = np.flatnonzero(np.abs(difference).max(axis=(1, 2)) > 8)
    return int(rows[0]), int(rows[-1])


def test_closed_eyes_change_only_the_eyes() -> None:
    eyes = HEAD.landmarks[:2, 1]
    first, last = changed_rows(Expression(eyes=STEPS))
    assert eyes.min() - 20 < first < last < eyes.max() + 20


def test_an_open_mouth_changes_only_what_is_below_it() -> None:
    mouth = HEAD.landmarks[3:, 1].mean()
    first, last = changed_rows(Expression(mouth=STEPS))
    assert mouth - 3 < first < last < mouth + 80


def test_a_neutral_face_is_the_portrait_itself() -> None:
    assert with_expression(HEAD, NEUTRAL) is HEAD


def test_who_talks_opens_the_mouth_in_spells_and_everybody_blinks() -> None:
    moments = np.arange(0, 30, 0.02)
    talks, silent = (
        [
            ExpressionSchedule(30.0, np.random.default_rng(5), talks=talks).at(float(moment))
            for moment in moments
        ]
        for talks in (True, False)
    )
    assert 0.05 < np.mean([each.mouth > 0 for each in talks]) < 0.6
    assert all(each.mouth == 0 for each in silent)
    assert 0.01 < np.mean([each.eyes > 0 for each in silent]) < 0.2


def test_who_holds_still_moves_by_millimetres_and_never_stops() -> None:
    path = Step(-1.0, 0.0, 3.0), Step(11.0, 0.0, 3.0)
    actor = Actor(Figure(path, holds_still=True), HEAD, np.random.default_rng(2))
    eyes = np.array([actor.state(float(at)).eyes for at in np.arange(0, 10, 0.1)])
    assert 0.003 < np.ptp(eyes) < 0.02
    assert np.count_nonzero(np.diff(eyes)) > 90


def test_some_people_are_there_from_the_first_frame() -> None:
    for kind in ("guard", "desk"):
        scene = catalogue.scene_named(kind, seed=4)
        assert all(figure.path[0].at < 0 and figure.holds_still for figure in scene.figures)
