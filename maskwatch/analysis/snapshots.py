"""Anonymized pictures of one camera: the best of each open violation, and snapshots on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

from maskwatch.analysis.visit import Sighting, Visit
from maskwatch.config.schema import CameraConfig, Pictures
from maskwatch.domain import Box, Detection, Frame, Polygon
from maskwatch.privacy.anonymize import Anonymizer, face_area
from maskwatch.privacy.draw import COLOURS, draw_box
from maskwatch.privacy.vault import embed, seal
from maskwatch.tracking.track import Track
from maskwatch.vision.preprocess import cut

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

_BETTER = 1.3  # factor by which the score of a new picture must exceed that of the one before
_JPEG_QUALITY = 85


@dataclass(slots=True)
class _Best:
    score: float
    unsent: bytes | None


class CameraPictures:
    """The best picture of each open violation, by track number; and snapshots.

    `private` are the outlines (relative, 0 to 1) of what is blackened in every picture.
    """

    def __init__(self, camera: CameraConfig, private: Sequence[Polygon]) -> None:
        self._kind, self._vault_key = camera.pictures, camera.vault_key
        self._anonymizer = Anonymizer(private)
        self._best: dict[int, _Best] = {}

    def offer(self, sighting: Sighting, frame: Frame, faces: Sequence[tuple[int, Box]]) -> bool:
        """Keep this frame's picture of the visit if it is much better; return whether it is.

        A violation of the visit is open. `faces` are (track number, box in pixels of the full picture)
        of all faces to cover; the number is 0 for a detection that belongs to no track.
        """
        visit, score = sighting.visit, sighting.quality.picture_score(sighting.detection)
        best = self._best.get(visit.number)
        if best is not None and score < best.score * _BETTER:
            return False
        self._best[visit.number] = _Best(score, self._render(visit, frame, faces))
        return True

    def take(self, visit: Visit) -> bytes | None:
        """Return the best picture (JPEG) once; None if it was taken before."""
        best = self._best.get(visit.number)
        if best is None:
            return None
        picture, best.unsent = best.unsent, None
        return picture

    def discard(self, visit: Visit) -> None:
        self._best.pop(visit.number, None)

    def snapshot(
        self, frame: Frame, people: Sequence[Box], faces: Sequence[tuple[int, Box]]
    ) -> bytes | None:
        """Return the frame as a JPEG that shows people's bodies and covers every face.

        `people` are the faces, in pixels of the full picture, of the people in view; `faces` as for
        `offer`: a snapshot has no subject, so all of them are covered.
        """
        picture, _ = self._anonymizer.picture(frame.full(), people, [box for _, box in faces])
        return _jpeg(picture)

    def _render(self, visit: Visit, frame: Frame, faces: Sequence[tuple[int, Box]]) -> bytes | None:
        if self._kind is Pictures.NONE:
            return None
        subject = next(box for number, box in faces if number == visit.number)
        shown = visit.number if self._kind is Pictures.SUBJECT else None
        covered = [box for number, box in faces if number != shown]
        picture, scale = self._anonymizer.picture(frame.full(), [subject], covered)
        label = f"{visit.verdict.value.replace('_', ' ')} {visit.evidence.confidence(visit.verdict):.2f}"
        draw_box(picture, subject.scaled(scale), label, COLOURS[visit.verdict])
        jpeg = _jpeg(picture)
        return self._with_vault(jpeg, visit, frame, subject) if jpeg else None

    def _with_vault(self, jpeg: bytes, visit: Visit, frame: Frame, subject: Box) -> bytes:
        """Return the picture with the subject's own face sealed inside, if the camera has a vault."""
        if self._kind is not Pictures.VAULT or visit.lifecycle is None:
            return jpeg
        face = _jpeg(cut(frame.full(), face_area(subject)))
        if face is None:
            return jpeg
        return embed(jpeg, seal(self._vault_key, face, str(visit.lifecycle.id).encode()))


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
