"""Anonymized pictures of one camera: the best of each open violation, and snapshots on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

from maskwatch.analysis.visit import Sighting, Visit
from maskwatch.config.schema import CameraConfig, Pictures
from maskwatch.domain import Box, Detection, Frame, Polygon
from maskwatch.privacy.anonymize import Anonymizer, face_area
from maskwatch.privacy.draw import COLOURS, Colour, draw_box
from maskwatch.privacy.vault import embed, seal
from maskwatch.tracking.track import Track
from maskwatch.vision.preprocess import cut

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

_BETTER = 1.3  # factor by which the score of a new picture must exceed that of the one before
_JPEG_QUALITY = 85
_SAME_FACE = 0.3  # intersection over union
_MAX_HELD_FRAMES = 4  # some 3 MiB each at 1080p; a JPEG needs a twentieth of that


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of a frame, in pixels of the full picture.

    Attributes:
        seen: (track number, box) of each; the number is 0 for one that belongs to no track.
        missed: returns the faces on the subject's body that may not have been seen.
    """

    seen: Sequence[tuple[int, Box]]
    missed: Callable[[], Sequence[Box]]


@dataclass(frozen=True, slots=True)
class _Unrendered:
    """What a picture is made of, when it is sent: most are replaced by a better one before.

    `subject`, `covered` and what `missed` returns are faces in pixels of the full picture, `violation`
    is its id.
    """

    frame: Frame
    subject: Box
    covered: Sequence[Box]
    missed: Callable[[], Sequence[Box]]
    label: str
    colour: Colour
    violation: str


@dataclass(slots=True)
class _Best:
    score: float
    unsent: _Unrendered | bytes | None


class CameraPictures:
    """The best picture of each open violation, by track number; and snapshots.

    `private` are the outlines (relative, 0 to 1) of what is blackened in every picture.
    """

    def __init__(self, camera: CameraConfig, private: Sequence[Polygon]) -> None:
        self._kind, self._vault_key = camera.pictures, camera.vault_key
        self._anonymizer = Anonymizer(private)
        self._best: dict[int, _Best] = {}

    def offer(self, sighting: Sighting, frame: Frame, faces: Faces) -> bool:
        """Keep this frame's picture of the visit if it is much better; return whether it is.

        A violation of the visit is open.
        """
        visit, score = sighting.visit, sighting.quality.picture_score(sighting.detection)
        best = self._best.pop(visit.number, None)
        if best is not None and score < best.score * _BETTER:
            self._best[visit.number] = best
            return False
        self._best[visit.number] = _Best(score, self._unrendered(visit, frame, faces))
        self._limit_held_frames()
        return True

    def take(self, visit: Visit) -> bytes | None:
        """Return the best picture (JPEG) once; None if it was taken before."""
        best = self._best.get(visit.number)
        if best is None:
            return None
        unsent, best.unsent = best.unsent, None
        return self._render(unsent) if isinstance(unsent, _Unrendered) else unsent

    def discard(self, visit: Visit) -> None:
        self._best.pop(visit.number, None)

    def hand_over(self, visit: Visit, before: Visit) -> None:
        """Make the best picture of one visit that of another, which continues its violation."""
        best = self._best.pop(before.number, None)
        if best is not None:
            self._best[visit.number] = best

    def snapshot(
        self, frame: Frame, people: Sequence[Box], faces: Sequence[tuple[int, Box]]
    ) -> bytes | None:
        """Return the frame as a JPEG that shows people's bodies and covers every face.

        `people` are the faces, in pixels of the full picture, of the people in view; `faces` as
        `Faces.seen`: a snapshot has no subject, so all of them are covered.
        """
        picture, _ = self._anonymizer.picture(frame.full(), people, [box for _, box in faces])
        return _jpeg(picture)

    def _unrendered(self, visit: Visit, frame: Frame, faces: Faces) -> _Unrendered | None:
        if self._kind is Pictures.NONE or visit.lifecycle is None:
            return None
        frame.release()  # only the decoder's planes are held
        shown = visit.number if self._kind is Pictures.SUBJECT else None
        return _Unrendered(
            frame,
            subject=next(box for number, box in faces.seen if number == visit.number),
            covered=[box for number, box in faces.seen if number != shown],
            missed=faces.missed,
            label=_label(visit),
            colour=COLOURS[visit.verdict],
            violation=str(visit.lifecycle.id),
        )

    def _limit_held_frames(self) -> None:
        """Render the oldest picture where more than `_MAX_HELD_FRAMES` wait."""
        held = [best for best in self._best.values() if isinstance(best.unsent, _Unrendered)]
        for best in held[:-_MAX_HELD_FRAMES]:
            assert isinstance(best.unsent, _Unrendered)
            best.unsent = self._render(best.unsent)

    def _render(self, unsent: _Unrendered) -> bytes | None:
        full = unsent.frame.full()
        picture, scale = self._anonymizer.picture(full, [unsent.subject], _covered(unsent))
        draw_box(picture, unsent.subject.scaled(scale), unsent.label, unsent.colour)
        jpeg = _jpeg(picture)
        return self._with_vault(jpeg, unsent) if jpeg else None

    def _with_vault(self, jpeg: bytes, unsent: _Unrendered) -> bytes:
        """Return the picture with the subject's own face sealed inside, if the camera has a vault."""
        if self._kind is not Pictures.VAULT:
            return jpeg
        face = _jpeg(cut(unsent.frame.full(), face_area(unsent.subject)))
        if face is None:
            return jpeg
        return embed(jpeg, seal(self._vault_key, face, unsent.violation.encode()))


def _covered(unsent: _Unrendered) -> list[Box]:
    """Return every face to cover; one that was seen is not covered again, where it may be shown."""
    known = [*unsent.covered, unsent.subject]
    missed = [box for box in unsent.missed() if all(box.iou(other) < _SAME_FACE for other in known)]
    return [*unsent.covered, *missed]


def _label(visit: Visit) -> str:
    verdict = visit.verdict
    return f"{verdict.value.replace('_', ' ')} {visit.evidence.confidence(verdict):.2f}"


def _jpeg(image: Image) -> bytes | None:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes() if done else None


def faces_to_cover(tracks: Sequence[Track], detections: Sequence[Detection]) -> list[tuple[int, Box]]:
    """Return every face of a frame as (track number, box), in pixels of the full picture.

    That is the face of every track, detected or predicted, and with number 0 every other detection.
    """
    tracked = [(t.number, t.detection.box if t.detection else t.box) for t in tracks]
    matched = {id(track.detection) for track in tracks}
    return tracked + [(0, d.box) for d in detections if id(d) not in matched]
