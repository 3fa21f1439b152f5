"""Searches a frame for faces in parts: where people are, where something moves, and in turn everywhere.

A search of the whole picture costs the same whether it is empty or not. Here the face detector sees
parts of the picture (`looks`). Their number in a frame is limited, never their time, so that a replay
is deterministic.

* Around each known face. As long as anything about it is undecided, at native size, where its box is
  the same as in the whole picture; then as coarse as the tracker can bear.
* Where the brightness differs from what it was when somebody last looked there (`changes`).
* In turn everywhere, so that no place waits longer than `MAX_WAIT`.
* Everywhere at once in the first frame, after a gap, and when most of the picture changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.domain import Box, Detection, Frame
from maskwatch.vision.changes import MAX_GAP, Changes, Mask
from maskwatch.vision.faces import FaceDetector
from maskwatch.vision.looks import Look, around, cells_of, covering, over, raster, wider
from maskwatch.vision.motion import CELL, brightness_grid
from maskwatch.vision.weights import yunet_bytes

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image
    from maskwatch.vision.camera_motion import Grey
    from maskwatch.vision.looks import Size

MAX_WAIT: Final = 10.0
"""Seconds within which every place of the picture is looked at, whether or not anything moves there."""

_IN_TURN = MAX_WAIT - MAX_GAP  # s in which all coarse looks have their turn
_FINE_INTERVAL = 1.5  # s between two looks at native size where nothing moves
_WARM, _WARMTH = 20.0, 4.0  # s for which a place where something moved has its turn sooner; how much
_REMEMBERED = 1.0  # s for which a cell that changed is worth a look
_BUDGET = 3  # looks per frame at motion that no known face explains
# Seconds and cells from which also motion that a known face explains is worth a look.
_BEHIND, _BEHIND_CELLS = 1.0, 4
_LOST = 0.7  # s unseen after which a face explains no motion
_STILL_INTERVAL = 1.0  # s between two looks at a poster before which nothing moves
_VIEW_CHANGED, _VIEW_INTERVAL = 0.6, 1.0  # share of the cells; s between two looks everywhere
_SURE = 0.5
_SAME = 0.3  # intersection over union of two detections of one face


class KnownFace(NamedTuple):
    """A tracked face.

    Attributes:
        box: where it is expected, in pixels of the analysed picture.
        settled: whether nothing about it is undecided.
        still: whether it is a poster.
        unseen: seconds since it was last found.
    """

    box: Box
    settled: bool = False
    still: bool = False
    unseen: float = 0.0


class FaceSearching(Protocol):
    """Finds the faces of frames; all boxes are in pixels of the analysed picture."""

    @property
    def complete(self) -> bool:
        """Whether `find` looks at all of every frame."""

    def find(self, frame: Frame, known: Sequence[KnownFace]) -> list[Detection]:
        """Return the faces found in the next analysed frame."""

    def find_in(self, frame: Frame, areas: Sequence[Box]) -> list[Detection]:
        """Return every face in these areas of any frame, at every scale."""


class FaceDetecting(Protocol):
    """Finds faces in an image; `vision.faces.FaceDetector` in the product."""

    def detect(self, image: Image) -> list[Detection]:
        """Return the faces in uint8 BGR (height, width, 3), in pixels of it."""


class WholeSearch:
    """Runs the detector on the whole picture of every analysed frame."""

    complete = True

    def __init__(self, detector: FaceDetecting) -> None:
        self._detector = detector

    def find(self, frame: Frame, known: Sequence[KnownFace]) -> list[Detection]:  # noqa: ARG002
        return self._detector.detect(frame.image)

    def find_in(self, frame: Frame, areas: Sequence[Box]) -> list[Detection]:  # noqa: ARG002
        return self._detector.detect(frame.image)


class RegionSearch:
    """Looks at parts of each frame; for one camera, deterministic.

    Args:
        score: minimum confidence of a returned detection.
        weights: as for `FaceDetector`.

    Raises:
        WeightsError: the weights are missing or not the pinned ones.
    """

    complete = False

    def __init__(self, score: float, *, weights: Path | None = None) -> None:
        self._score, self._weights = score, yunet_bytes(weights)
        self._detectors: dict[Size, FaceDetector] = {}
        self._memory: tuple[Changes, _Turns] | None = None
        self._everywhere_at = 0.0
        self._frames = 0
        self.looks = 0
        """Looks since the start."""

    def find(self, frame: Frame, known: Sequence[KnownFace]) -> list[Detection]:
        grid = brightness_grid(frame.luma)
        self._frames += 1
        if self._memory is None or not self._memory[0].continues(grid, frame.moment):
            return self._everywhere(frame, grid)
        changes, turns = self._memory
        changes.update(grid, frame.moment)
        if self._view_changed(changes):
            return self._everywhere(frame, grid)
        followed = self._follow(frame, known, changes)
        looks = self._at_motion(known, changes, turns, frame.size) + turns.due(changes)
        found = [d for look in looks for d in self._look(frame, look, changes)]
        # A followed face's box comes from one kind of look, since other scales draw it otherwise.
        return _distinct(followed, self._refined(frame, found, followed, changes))

    def find_in(self, frame: Frame, areas: Sequence[Box]) -> list[Detection]:
        looks = dict.fromkeys(look for area in areas for look in covering(area, frame.size))
        return _distinct([found for look in looks for found in self._run(frame, look)])

    def _view_changed(self, changes: Changes) -> bool:
        share = float(np.mean(changes.now))
        return share > _VIEW_CHANGED and changes.moment - self._everywhere_at >= _VIEW_INTERVAL

    def _everywhere(self, frame: Frame, grid: Grey) -> list[Detection]:
        looks = raster(frame.size)
        changes = Changes(grid, frame.moment, {look.scale for look in looks})
        self._memory = changes, _Turns(looks, changes)
        self._everywhere_at = frame.moment
        found = [d for look in looks for d in self._look(frame, look, changes)]
        return self._refined(frame, found, (), changes)

    def _follow(self, frame: Frame, known: Sequence[KnownFace], changes: Changes) -> list[Detection]:
        """Look at the known faces that may have moved; one look may show several of them."""
        looked: list[Look] = []
        found: list[Detection] = []
        for face in known:
            look = around(face.box, frame.size, settled=face.settled)
            shown = any(look.scale == other.scale and other.shows(face.box) for other in looked)
            if shown or not self._worth_a_look(face, look, changes):
                continue
            looked.append(look)
            here = self._look(frame, look, changes)
            if face.unseen < _LOST and not any(_is_there(d, face) for d in here):
                here += self._look(frame, wider(look, face.box, frame.size), changes)
            found += here
        return _distinct(found)

    def _worth_a_look(self, face: KnownFace, look: Look, changes: Changes) -> bool:
        if changes.now[look.cells].any():
            return True
        if face.still:
            return face.unseen >= _STILL_INTERVAL
        return face.unseen < _LOST or self._frames % 3 == 0

    def _at_motion(
        self, known: Sequence[KnownFace], changes: Changes, turns: _Turns, size: Size
    ) -> list[Look]:
        """Return looks at what moves, first where no known face explains it."""
        lately = changes.moved_within(_REMEMBERED)
        if not lately.any():
            return []
        unexplained = lately.copy()
        for face in known:
            if face.unseen < _LOST:
                unexplained[around(face.box, size, settled=face.settled).cells] = False
                unexplained[_body_cells(face.box)] = False
        candidates = [look for blob in _blobs(unexplained) for look in over(blob, size)]
        urgent = [(changes.urgency(look, unexplained), look) for look in dict.fromkeys(candidates)]
        urgent = sorted((pair for pair in urgent if pair[0] > 0), key=_order)[:_BUDGET]
        looks = [look for _, look in urgent]
        if len(looks) < _BUDGET and self._frames % 2 == 0:
            looks += turns.behind(lately, changes.moment)
        return looks

    def _refined(
        self,
        frame: Frame,
        found: list[Detection],
        followed: Sequence[Detection],
        changes: Changes,
    ) -> list[Detection]:
        """Return the faces, the new ones as later looks at them will show them.

        Otherwise the box would change between the first look and the second, as if the face moved.
        """
        distinct = _distinct(found)
        new = [d for d in distinct if d.score >= _SURE and not _is_among(d, followed)]
        looks = dict.fromkeys(around(d.box, frame.size, settled=False) for d in new)
        again = [d for look in looks for d in self._look(frame, look, changes)]
        return _distinct(again, distinct)

    def _look(self, frame: Frame, look: Look, changes: Changes) -> list[Detection]:
        found = self._run(frame, look)
        changes.looked(look, fruitful=bool(found))
        return found

    def _run(self, frame: Frame, look: Look) -> list[Detection]:
        self.looks += 1
        detector = self._detectors.get(look.net)
        if detector is None:
            # One for each size of its input: a change of the size takes longer than a look.
            detector = self._detectors[look.net] = FaceDetector(self._score, weights=self._weights)
        found = (look.located(d, frame.size) for d in detector.detect(look.image(frame.analysed)))
        return [d for d in found if d is not None]


class _Turns:
    """The looks that cover the picture, and when each had its turn."""

    def __init__(self, looks: Sequence[Look], changes: Changes) -> None:
        self._looks = looks
        rows, columns = changes.now.shape
        cells = [look.cells for look in looks]
        self._top, self._bottom = (
            np.minimum([getattr(down, end) for down, _ in cells], rows) for end in ("start", "stop")
        )
        self._left, self._right = (
            np.minimum([getattr(along, end) for _, along in cells], columns) for end in ("start", "stop")
        )
        scales = np.array([look.scale for look in looks])
        # A picture that one look covers has no coarser ones.
        self._coarse = scales > 1 if scales.max() > 1 else scales > 0
        self._fine = np.flatnonzero(~self._coarse)
        self._at = np.full(len(looks), changes.moment)
        self._fine_at = changes.moment
        self._share = 0.0

    def due(self, changes: Changes) -> list[Look]:
        """Return the looks whose turn it is; each coarse one has one in `_IN_TURN` seconds."""
        now = changes.moment
        coarse = np.flatnonzero(self._coarse)
        self._share += (now - changes.before) * len(coarse) / _IN_TURN
        number, self._share = int(self._share), self._share % 1.0
        due = coarse[np.argsort(self._at[coarse], kind="stable")[:number]].tolist()
        if len(self._fine) and now - self._fine_at >= _FINE_INTERVAL:
            self._fine_at = now
            warm = self._count(changes.moved_within(_WARM)) > 0
            need = (now - self._at) * np.where(warm, _WARMTH, 1.0)
            due.append(int(self._fine[need[self._fine].argmax()]))
        return self._taken(due, now)

    def behind(self, where: Mask, now: float) -> list[Look]:
        """Return the look that waited longest among those at `where`; none that had its turn lately."""
        age = np.where(self._count(where) >= _BEHIND_CELLS, now - self._at, 0.0)
        longest = int(age.argmax())
        return self._taken([longest], now) if age[longest] >= _BEHIND else []

    def _taken(self, indices: Sequence[int], now: float) -> list[Look]:
        self._at[indices] = now
        return [self._looks[index] for index in indices]

    def _count(self, where: Mask) -> npt.NDArray[np.int32]:
        """Return how many cells of each look are set in `where`."""
        sums = np.asarray(cv2.integral(where.astype(np.uint8)), np.int32)
        top, bottom, left, right = self._top, self._bottom, self._left, self._right
        inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        return np.asarray(inside, np.int32)


def _order(pair: tuple[float, Look]) -> tuple[float, int, int, int]:
    urgency, look = pair
    return -round(urgency, 3), look.scale, look.y, look.x


def _blobs(where: Mask) -> list[Box]:
    """Return the rectangles of what lies together, in pixels of the analysed picture."""
    joined = cv2.dilate(where.astype(np.uint8), np.ones((5, 5), np.uint8))
    count, _, found, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    sides = (tuple(int(v) * CELL for v in blob[:4]) for blob in found[1:count])
    return [Box(x, y, x + width, y + height) for x, y, width, height in sides]


def _body_cells(face: Box) -> tuple[slice, slice]:
    height, middle = face.height, face.centre
    left, right = middle.x - 2.2 * height, middle.x + 2.2 * height
    return cells_of(Box(left, middle.y - 1.5 * height, right, middle.y + 8.5 * height))


def _is_there(detection: Detection, face: KnownFace) -> bool:
    box, centre = detection.box, face.box.centre
    inside = box.x1 <= centre.x <= box.x2 and box.y1 <= centre.y <= box.y2
    return inside and detection.score >= _SURE


def _is_among(detection: Detection, others: Sequence[Detection]) -> bool:
    return any(detection.box.iou(other.box) > _SAME for other in others)


def _distinct(*groups: Sequence[Detection]) -> list[Detection]:
    """Return one detection for each face: of the first group that has it, the best one."""
    kept: list[Detection] = []
    for group in groups:
        for detection in sorted(group, key=lambda d: -d.score):
            if not _is_among(detection, kept):
                kept.append(detection)
    return kept
