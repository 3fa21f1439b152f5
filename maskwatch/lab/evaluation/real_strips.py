"""Draws a strip for each expected person: when they were seen, judged, decided and reported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwatch.analysis.own_motion import Liveness
from maskwatch.domain import Verdict
from maskwatch.errors import UsageError
from maskwatch.lab.evaluation.real_clips import ExpectedPerson, MaskState, Rule
from maskwatch.lab.evaluation.real_run import RealResult
from maskwatch.lab.evaluation.real_timeline import PersonMoment

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

Colour = tuple[int, int, int]

_WIDTH, _LEFT, _RIGHT = 1200, 90, 20
_ROW, _GAP, _TITLE, _HEAD, _FOOT = 16, 14, 18, 66, 30
_ROWS = ("truth", "seen", "judged", "decided", "reported")
_FONT, _TEXT = cv2.FONT_HERSHEY_SIMPLEX, 0.42

# BGR, distinct also for colour-blind readers (Okabe and Ito 2008).
_WHITE, _BLACK, _GREY, _PALE = (255, 255, 255), (0, 0, 0), (170, 170, 170), (235, 235, 235)
_BLUE, _SKY, _ORANGE = (178, 114, 0), (233, 180, 86), (0, 159, 230)
_RED, _GREEN = (0, 94, 213), (115, 158, 0)

_TRUTH = {
    MaskState.BARE: _RED,
    MaskState.MASKED: _GREEN,
    MaskState.INCORRECT: _ORANGE,
    MaskState.UNCLEAR: _GREY,
}
_VERDICT = {
    Verdict.NO_MASK: _RED,
    Verdict.MASK: _GREEN,
    Verdict.INCORRECT: _ORANGE,
    Verdict.UNKNOWN: _GREY,
}
_LEGEND = (
    ("bare / no mask", _RED),
    ("masked", _GREEN),
    ("incorrect", _ORANGE),
    ("found", _BLUE),
    ("no track yet, held back", _SKY),
    ("gate, unclear, undecided", _GREY),
    ("report", _BLACK),
)


def write_strips(result: RealResult, folder: Path) -> Path | None:
    """Write `CLIP.png` into the folder; return its path, None for a clip without people."""
    if not result.clip.people:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{Path(result.name).stem}.png"
    done, data = cv2.imencode(".png", draw_strips(result))
    assert done
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def draw_strips(result: RealResult) -> Image:
    """Return uint8 BGR (height, 1200, 3): five rows for each expected person."""
    people = result.clip.people
    panel = _TITLE + len(_ROWS) * _ROW + _GAP
    picture = np.full((_HEAD + len(people) * panel + _FOOT, _WIDTH, 3), 255, np.uint8)
    axis = _Axis(result.seconds)
    _write(picture, f"{result.name}: {result.summary}", (10, 22), 0.5)
    _draw_legend(picture)
    for number, person in enumerate(people):
        _draw_person(picture, result, person, axis, _HEAD + number * panel)
    _draw_seconds(picture, axis)
    return picture


class _Axis:
    """From seconds to columns."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(seconds, 0.1)
        self._per_second = (_WIDTH - _LEFT - _RIGHT) / self.seconds

    def x(self, second: float) -> int:
        return round(_LEFT + min(max(second, 0.0), self.seconds) * self._per_second)


def _draw_person(
    picture: Image, result: RealResult, person: ExpectedPerson, axis: _Axis, top: int
) -> None:
    note = result.note_of(person)
    name = f"{person.id} ({person.rule.value}): {person.who}" + (f" - {note}" if note else "")
    _write(picture, name, (10, top + 12))
    top += _TITLE
    for row, name in enumerate(_ROWS):
        y = top + row * _ROW
        _write(picture, name, (10, y + 12))
        cv2.rectangle(picture, (_LEFT, y + 2), (_WIDTH - _RIGHT, y + _ROW - 2), _PALE, -1)
    for begin, end, state in person.mask:
        _fill(picture, axis, (begin, end), top, _TRUTH[state])
    moments = result.moments[person.id]
    for each, end in zip(moments, _ends(moments), strict=True):
        for row, colour in _cells(each):
            _fill(picture, axis, (each.moment, end), top + row * _ROW, colour)
    if person.rule is Rule.REQUIRED and person.judgeable_from is not None:
        x = axis.x(person.judgeable_from)
        cv2.line(picture, (x, top - 3), (x, top + len(_ROWS) * _ROW + 2), _BLACK, 1)
    for second in result.reports_of(person):
        x = axis.x(second)
        cv2.rectangle(picture, (x - 2, top + 4 * _ROW), (x + 2, top + 5 * _ROW), _BLACK, -1)


def _ends(moments: Sequence[PersonMoment]) -> Iterator[float]:
    """Yield where each frame's cell ends: at the next frame, or after the shortest interval."""
    steps = [later.moment - each.moment for each, later in pairwise(moments)]
    step = min(steps, default=0.2)
    for each, passed in zip(moments, [*steps, step], strict=True):
        yield each.moment + min(passed, 1.5 * step)


def _cells(each: PersonMoment) -> Iterator[tuple[int, Colour]]:
    """Yield (row, colour) of one frame."""
    view = each.view
    if each.score is not None:
        yield 1, _BLUE if view is not None else _SKY
    if view is None:
        return
    if view.reading is not None:
        yield 2, _GREY if view.reading.gate is not None else _BLUE
    yield 3, _VERDICT[view.verdict]
    if view.violation is not None:
        yield 4, _RED
    elif view.liveness is Liveness.STILL:
        yield 4, _GREY
    elif view.verdict is Verdict.NO_MASK and view.obstacle:
        yield 4, _SKY


def _fill(picture: Image, axis: _Axis, span: tuple[float, float], top: int, colour: Colour) -> None:
    left, right = axis.x(span[0]), max(axis.x(span[1]) - 1, axis.x(span[0]) + 1)
    cv2.rectangle(picture, (left, top + 2), (right, top + _ROW - 2), colour, -1)


def _draw_legend(picture: Image) -> None:
    x = 10
    for name, colour in _LEGEND:
        cv2.rectangle(picture, (x, 36), (x + 14, 48), colour, -1)
        _write(picture, name, (x + 20, 47))
        x += 36 + round(7.6 * len(name))


def _draw_seconds(picture: Image, axis: _Axis) -> None:
    step = next((s for s in (0.5, 1, 2, 5, 10, 30, 60) if axis.seconds / s <= 20), 300)
    bottom = picture.shape[0] - _FOOT
    for number in range(int(axis.seconds / step) + 1):
        x = axis.x(number * step)
        cv2.line(picture, (x, bottom - 6), (x, bottom), _BLACK, 1)
        _write(picture, f"{number * step:g} s", (x - 8, bottom + 16))


def _write(picture: Image, text: str, at: tuple[int, int], size: float = _TEXT) -> None:
    # The font of OpenCV has no other characters.
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(picture, plain, at, _FONT, size, _BLACK, 1, cv2.LINE_AA)
