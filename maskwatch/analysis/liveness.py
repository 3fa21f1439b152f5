"""Watches each face for motion of its own until it is known to be a person's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maskwatch.analysis.own_motion import Liveness, StillPlaces
from maskwatch.analysis.visit import Visit
from maskwatch.domain import Box, Frame, Point
from maskwatch.privacy.anonymize import body_box
from maskwatch.vision.camera_motion import CameraMotion
from maskwatch.vision.face_motion import FacePatch

__all__ = ["LivenessMonitor"]


@dataclass(slots=True)
class _Watched:
    """A face that is not known to be alive, and where its first sighting would be now.

    Attributes:
        patch: the place as it looked at first.
        first: the face's box then.
        shift: how far the camera's picture had moved then, measured over the whole of it.
        carried: that box, carried along by the picture around it from look to look.

    """

    patch: FacePatch
    first: Box
    shift: Point
    carried: Box

    def origins(self, shift: Point) -> tuple[Box, Box]:
        """Return where the first box is now, if only the camera moved: by both measurements."""
        steady = self.first.moved(shift.x - self.shift.x, shift.y - self.shift.y)
        return steady, self.carried


class LivenessMonitor:
    """The faces that are not known to be alive, and the places where still ones were."""

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}
        self._still = StillPlaces()
        self._background = CameraMotion()

    def look(self, frame: Frame, faces: Sequence[Box]) -> None:
        """Find out how the camera moved, as long as it matters to any face.

        Args:
            frame: one that is looked at.
            faces: of everybody, in pixels of the analysed picture.

        """
        if not self._watched:
            return
        flow = self._background.flow(frame.image, [body_box(face) for face in faces])
        for one in self._watched.values():
            one.carried = flow.carry(one.carried)

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
            one = self._watched.get(visit.number) or self._begin(visit, box, frame, shift)
            change = self._change(one, box, frame, shift, others)
            now = visit.motion.see(box, frame.moment, one.origins(shift), change)
            self._note(visit, now, box, frame.moment)
        visit.on_poster = self._still.holds(box, visit.number)
        return visit.motion.liveness

    def forget(self, track: int) -> None:
        """The track ended; where it was still is remembered."""
        self._watched.pop(track, None)

    def _begin(self, visit: Visit, box: Box, frame: Frame, shift: Point) -> _Watched:
        if not self._watched:  # nobody asked how the picture moved up to now
            self._background.hold(frame.image)
        one = _Watched(FacePatch(frame.image, box), box, shift, box)
        self._watched[visit.number] = one
        return one

    def _note(self, visit: Visit, now: Liveness, box: Box, moment: float) -> None:
        match now:
            case Liveness.ALIVE:
                self._watched.pop(visit.number, None)
                self._still.forget(visit.number)
            case Liveness.STILL:
                self._still.remember(visit.number, box, moment)
            case Liveness.PENDING:
                pass

    @staticmethod
    def _change(
        one: _Watched, box: Box, frame: Frame, shift: Point, others: Sequence[Box]
    ) -> float | None:
        """Return how much the face's pixels changed; None where somebody else is in the way."""
        around = box.grown(1.0)
        if any(body_box(other).intersection(around) > 0 for other in others):
            return None
        return min(one.patch.change(frame.image, origin) for origin in one.origins(shift))
