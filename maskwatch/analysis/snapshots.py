"""Chooses the picture that goes with a violation, and has it anonymized; and snapshots on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

from maskwatch.analysis.visit import Visit
from maskwatch.config.schema import CameraConfig, Pictures
from maskwatch.domain import Box, Detection, Frame, Polygon
from maskwatch.privacy.anonymize import Anonymizer, face_area
from maskwatch.privacy.draw import COLOURS, draw_box
from maskwatch.privacy.vault import embed, seal
from maskwatch.tracking.track import Track
from maskwatch.vision.preprocess import cut

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["Snapshots", "faces_to_cover"]

_BETTER = 1.3  # a new picture must be worth so many times the one before
_JPEG_QUALITY = 85


@dataclass(slots=True)
class _Best:
    worth: float
    waiting: bytes | None


class Snapshots:
    """The best picture of each open violation, by track number."""

    def __init__(self, camera: CameraConfig, private: Sequence[Polygon]) -> None:
        self._kind, self._vault_key = camera.pictures, camera.vault_key
        self._anonymizer = Anonymizer(private)
        self._best: dict[int, _Best] = {}

    def offer(self, visit: Visit, worth: float, frame: Frame, faces: Sequence[tuple[int, Box]]) -> bool:
        """Keep this frame's picture of the visit if it is much better; return whether it is.

        Args:
            visit: whose violation is open.
            worth: how good a snapshot the face makes now.
            frame: the frame that shows it.
            faces: (track number, box in pixels of the full picture) of all that is to be covered;
                the number is 0 for a detection that belongs to no track.

        """
        best = self._best.get(visit.number)
        if best is not None and worth < best.worth * _BETTER:
            return False
        self._best[visit.number] = _Best(worth, self._render(visit, frame, faces))
        return True

    def take(self, visit: Visit) -> bytes | None:
        """Return the picture that was not sent yet, once."""
        best = self._best.get(visit.number)
        if best is None:
            return None
        picture, best.waiting = best.waiting, None
        return picture

    def forget(self, visit: Visit) -> None:
        """The violation is over."""
        self._best.pop(visit.number, None)

    def whole(
        self, frame: Frame, people: Sequence[Box], faces: Sequence[tuple[int, Box]]
    ) -> bytes | None:
        """Return the frame as a snapshot: people's bodies are shown, and no face, whoever's it is.

        Args:
            frame: the frame.
            people: faces, in pixels of the full picture, of the people in view.
            faces: see `offer`; a snapshot has no subject, so all of them are covered.

        """
        picture, _ = self._anonymizer.picture(frame.full(), people, [box for _, box in faces])
        return _jpeg(picture)

    def _render(self, visit: Visit, frame: Frame, faces: Sequence[tuple[int, Box]]) -> bytes | None:
        if self._kind is Pictures.NONE:
            return None
        subject = next(box for number, box in faces if number == visit.number)
        kept = visit.number if self._kind is Pictures.SUBJECT else None
        covered = [box for number, box in faces if number != kept]
        picture, scale = self._anonymizer.picture(frame.full(), [subject], covered)
        label = f"{visit.verdict.value.replace('_', ' ')} {visit.evidence.confidence(visit.verdict):.2f}"
        draw_box(picture, subject.scaled(scale), label, COLOURS[visit.verdict])
        jpeg = _jpeg(picture)
        return self._with_vault(jpeg, visit, frame, subject) if jpeg else None

    def _with_vault(self, jpeg: bytes, visit: Visit, frame: Frame, subject: Box) -> bytes:
        """Return the picture with the subject's own face sealed inside, where that is asked for."""
        if self._kind is not Pictures.VAULT or visit.life is None:
            return jpeg
        face = _jpeg(cut(frame.full(), face_area(subject)))
        if face is None:
            return jpeg
        return embed(jpeg, seal(self._vault_key, face, str(visit.life.id).encode()))


def _jpeg(image: Image) -> bytes | None:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes() if done else None


def faces_to_cover(tracks: Sequence[Track], detections: Sequence[Detection]) -> list[tuple[int, Box]]:
    """Return every face of a frame: the tracks' (seen or predicted) and what belongs to none."""
    tracked = [(t.number, t.detection.box if t.detection else t.box) for t in tracks]
    matched = {id(track.detection) for track in tracks}
    return tracked + [(0, d.box) for d in detections if id(d) not in matched]
