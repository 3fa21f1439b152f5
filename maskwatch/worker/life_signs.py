"""Watches each face for motion of its own until it is known to be a person's."""

from __future__ import annotations

from collections.abc import Sequence

from maskwatch.domain import Box, Frame, Point
from maskwatch.privacy.anonymize import body_box
from maskwatch.tracking.still import Liveness, StillPlaces
from maskwatch.tracking.visit import Visit
from maskwatch.vision.liveliness import FacePatch

__all__ = ["LifeSigns"]


class LifeSigns:
    """The faces that are not known to be alive, and the places where still ones were."""

    def __init__(self) -> None:
        self._patches: dict[int, tuple[FacePatch, Point]] = {}
        self._still = StillPlaces()

    def see(self, visit: Visit, box: Box, frame: Frame, shift: Point, others: Sequence[Box]) -> Liveness:
        """Take in one sighting; return what is known now.

        Args:
            visit: whose face it is; its `motion` and `on_poster` are brought up to date.
            box: the face in pixels of the analysed picture.
            frame: the frame that shows it.
            shift: how far the camera's picture has moved, in the same pixels.
            others: the faces of everybody else, in the same pixels.

        """
        if not visit.motion.alive:
            change = self._change(visit.number, box, frame, shift, others)
            self._note(visit, visit.motion.see(box, frame.moment, shift, change), box, frame.moment)
        visit.on_poster = self._still.holds(box, visit.number)
        return visit.motion.liveness

    def forget(self, track: int) -> None:
        """The track ended; where it was still is remembered."""
        self._patches.pop(track, None)

    def _note(self, visit: Visit, now: Liveness, box: Box, moment: float) -> None:
        match now:
            case Liveness.ALIVE:
                self._patches.pop(visit.number, None)
                self._still.forget(visit.number)
            case Liveness.STILL:
                self._still.remember(visit.number, box, moment)
            case Liveness.PENDING:
                pass

    def _change(
        self, track: int, box: Box, frame: Frame, shift: Point, others: Sequence[Box]
    ) -> float | None:
        """Return how much the face's pixels changed; None where somebody else is in the way."""
        found = self._patches.get(track)
        if found is None:
            self._patches[track] = (FacePatch(frame.image, box), shift)
            return None
        around = box.grown(1.0)
        if any(body_box(other).intersection(around) > 0 for other in others):
            return None
        patch, before = found
        return patch.change(frame.image, Point(shift.x - before.x, shift.y - before.y))
