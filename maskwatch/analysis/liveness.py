"""Whether a track is a living person's face: the one place where this is decided.

A violation may open only if three conditions hold; `person_obstacle` returns the first that fails:

* It is a face: `face_confidence` tests the detector's scores.
* It was seen from the front: `vision.quality` measures the pose, `Visit.seen_frontal` keeps it.
* It is alive: `own_motion` tests for motion of its own, and `LivenessMonitor` supplies what it needs:
  the camera's motion (`vision.camera_motion`), the change of the face's pixels
  (`vision.face_motion`), and the places where still faces are.

A face that is not alive is a poster, a screen or a mannequin: it is neither read nor reported nor
counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from maskwatch.analysis.own_motion import Liveness
from maskwatch.analysis.visit import Visit
from maskwatch.domain import Box, Frame, Point
from maskwatch.privacy.anonymize import body_box
from maskwatch.vision.camera_motion import CameraMotion
from maskwatch.vision.face_motion import FacePatch

STILL_PLACE = "a still face hangs in that very place (a poster?)"
UNSURE_FACE = "the detector is unsure that it is a face"
TURNED_FACE = "the face was only seen turned away"
STILL_FACE = "the face has shown no motion of its own (a poster?)"

_SAME_PLACE = 0.6  # intersection over union
_REMEMBERED_FOR = 600.0  # s
_MIN_SURROUNDINGS = 0.5  # share in the picture without which a face's change cannot be measured


def person_obstacle(visit: Visit) -> str:
    """Return why this may not be the face of a person in front of the camera; "" if it is."""
    if visit.at_still_place:
        return STILL_PLACE
    if not visit.face_confidence.sufficient:
        return UNSURE_FACE
    if not visit.seen_frontal:
        return TURNED_FACE
    if visit.motion.liveness is not Liveness.ALIVE:
        return STILL_FACE
    return ""


@dataclass(slots=True)
class _Candidate:
    """A face that is not yet known to be alive, and where its first sighting would be now.

    Attributes:
        patch: the pixels of the face and its surroundings at first.
        first: the face's first box.
        first_shift: shift of the camera's picture at that time, measured over the whole of it.
        carried: the first box, moved along with the picture around it from frame to frame.
    """

    patch: FacePatch
    first: Box
    first_shift: Point
    carried: Box

    def origins(self, shift: Point) -> tuple[Box, Box]:
        """Return where the first box is now, if only the camera moved: by both measurements."""
        shifted = self.first.moved(shift.x - self.first_shift.x, shift.y - self.first_shift.y)
        return shifted, self.carried


class LivenessMonitor:
    """The faces that are not yet known to be alive, and the places of still ones.

    All boxes are in pixels of the analysed picture, and so is what `measure_shift` returns: the total
    shift of the camera's picture. It is called only while a face is not yet known to be alive.
    """

    def __init__(self, measure_shift: Callable[[], Point]) -> None:
        self._measure_shift = measure_shift
        self._candidates: dict[int, _Candidate] = {}
        self._still_places = StillPlaces()
        self._camera_motion = CameraMotion()

    def follow_camera(self, frame: Frame, faces: Sequence[Box]) -> None:
        """Measure how the camera moved since the last analysed frame, if any face depends on it.

        The bodies below `faces`, those of all tracks, are left out of the measurement.
        """
        if not self._candidates:
            return
        self._measure_shift()  # in every frame, since the next one's is searched near it
        flow = self._camera_motion.flow(frame.luma, [body_box(face) for face in faces])
        for candidate in self._candidates.values():
            candidate.carried = flow.carry(candidate.carried)

    def observe(self, visit: Visit, box: Box, frame: Frame, others: Sequence[Box]) -> Liveness:
        """Add one sighting; return the liveness after it.

        It updates `visit.motion` and `visit.at_still_place`. `others` are the faces of all other tracks.
        """
        if not visit.motion.alive:
            shift = self._measure_shift()
            candidate = self._candidates.get(visit.number) or self._begin(visit, box, frame, shift)
            change: float | None = None
            moved: float | None = None
            if _can_be_compared(box, frame, others):
                change = _change(candidate, frame, shift)
                if visit.motion.liveness is Liveness.PENDING:
                    moved = _pixel_shift(candidate, frame, shift)
            crowded = _any_body_over(box.grown(1.0), others)
            origins = candidate.origins(shift)
            visit.motion.observe(box, frame.moment, origins, change, shift=moved, crowded=crowded)
            self._record(visit, box, frame.moment)
        visit.at_still_place = self._still_places.contains(box, visit.number)
        return visit.motion.liveness

    def forget(self, track: int) -> None:
        """Drop a track that ended; the place where it was still is remembered."""
        self._candidates.pop(track, None)

    def _begin(self, visit: Visit, box: Box, frame: Frame, shift: Point) -> _Candidate:
        if not self._candidates:  # the camera was not followed until now
            self._camera_motion.hold(frame.luma)
        candidate = _Candidate(FacePatch(frame.luma, box), box, shift, box)
        self._candidates[visit.number] = candidate
        return candidate

    def _record(self, visit: Visit, box: Box, moment: float) -> None:
        match visit.motion.liveness:
            case Liveness.ALIVE:
                self._candidates.pop(visit.number, None)
                self._still_places.forget(visit.number)
            case Liveness.STILL:
                self._still_places.remember(visit.number, box, moment)
            case Liveness.PENDING:
                pass


class StillPlaces:
    """Where posters are: a face seen there is no person, whichever track it belongs to."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[Box, float]] = {}

    def remember(self, track: int, box: Box, moment: float) -> None:
        """Record that a track's face is still at `box` at `moment` (seconds)."""
        self._places[track] = (box, moment)
        old = [key for key, (_, seen) in self._places.items() if moment - seen > _REMEMBERED_FOR]
        for key in old:
            del self._places[key]

    def forget(self, track: int) -> None:
        """Drop the place of a track whose face moved after all: a person who stood still."""
        self._places.pop(track, None)

    def contains(self, box: Box, track: int) -> bool:
        """Return whether another track's still face was where `box` is."""
        return any(place.iou(box) >= _SAME_PLACE for place in self._others(track))

    def _others(self, track: int) -> Iterator[Box]:
        return (place for key, (place, _) in self._places.items() if key != track)


def _can_be_compared(box: Box, frame: Frame, others: Sequence[Box]) -> bool:
    """Return whether no other person is in front of a face, and most around it is in the picture."""
    around = box.grown(1.0)
    inside = around.clipped(*frame.size).area / max(around.area, 1.0)
    return inside >= _MIN_SURROUNDINGS and not _any_body_over(box, others)


def _change(candidate: _Candidate, frame: Frame, shift: Point) -> float:
    """Return how much the face's pixels changed."""
    return min(candidate.patch.change(frame.luma, origin) for origin in candidate.origins(shift))


def _pixel_shift(candidate: _Candidate, frame: Frame, shift: Point) -> float | None:
    """Return how far the face's pixels moved, in face heights; None where that is unknown."""
    shifts = [candidate.patch.shift(frame.luma, origin) for origin in candidate.origins(shift)]
    known = [one for one in shifts if one is not None]
    return min(known) if len(known) == len(shifts) else None


def _any_body_over(box: Box, faces: Sequence[Box]) -> bool:
    return any(body_box(face).intersection(box) > 0 for face in faces)
