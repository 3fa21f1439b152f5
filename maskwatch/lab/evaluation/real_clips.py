"""Reads the events that a person wrote down for recorded clips (`expected.json`).

docs/real-clips.md describes the file. Boxes are relative to the upright picture, times are seconds
after its first frame.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum
from pathlib import Path

import msgspec

from maskwatch.domain import Box
from maskwatch.errors import UsageError
from maskwatch.files import read_file

EXPECTED_FILE = "expected.json"
_MAX_BYTES = 64 << 20
_SLACK = 1e-6  # s, for times that were rounded when they were written down


class Rule(StrEnum):
    """What a report about somebody or something is."""

    REQUIRED = "required"  # an event is due
    ALLOWED = "allowed"  # an event is neither asked for nor wrong
    FORBIDDEN = "forbidden"  # any event is false


class MaskState(StrEnum):
    """How a person wears the mask for a while."""

    BARE = "bare"
    MASKED = "masked"
    INCORRECT = "incorrect"
    UNCLEAR = "unclear"


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody or something that is seen somewhere.

    Attributes:
        who: for the reader of the report.
        rule: what a report is.
        boxes: (seconds, x1, y1, x2, y2), at least one, ascending; between two it is interpolated.
        visible: spans of seconds in which it can be seen; without any, from first to last box.
    """

    who: str
    rule: Rule
    boxes: tuple[tuple[float, float, float, float, float], ...]
    visible: tuple[tuple[float, float], ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if not self.boxes:
            raise ValueError(
                f"{self.who!r} has no boxes; expected at least one [seconds, x1, y1, x2, y2]"
            )
        times = [box[0] for box in self.boxes]
        if times != sorted(times):
            raise ValueError(f"the boxes of {self.who!r} are not in the order of their seconds")

    @property
    def spans(self) -> tuple[tuple[float, float], ...]:
        return self.visible or ((self.boxes[0][0], self.boxes[-1][0]),)

    def in_sight(self, moment: float) -> bool:
        return any(begin - _SLACK <= moment <= end + _SLACK for begin, end in self.spans)

    def box_at(self, moment: float) -> Box:
        """Return where it is at `moment`: between two boxes in proportion, outside them the nearest."""
        after = bisect_right([box[0] for box in self.boxes], moment)
        if after in (0, len(self.boxes)):
            return Box(*self.boxes[max(after - 1, 0)][1:])
        (begin, *old), (end, *new) = self.boxes[after - 1], self.boxes[after]
        share = (moment - begin) / (end - begin)
        return Box(*(a + share * (b - a) for a, b in zip(old, new, strict=True)))


class ExpectedPerson(_Seen, frozen=True, kw_only=True):
    """One person in one visit.

    Attributes:
        id: unique in the clip.
        judgeable_from: second from which a careful guard is sure; set where the rule is `required`.
        mask: (from, to, state), ascending.
    """

    id: str
    judgeable_from: float | None = None
    mask: tuple[tuple[float, float, MaskState], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule is Rule.REQUIRED and self.judgeable_from is None:
            raise ValueError(f"{self.who!r} is required and has no judgeable_from (seconds)")

    def masked_throughout(self, moment: float, seconds: float) -> bool:
        """Return whether they wore the mask correctly for all of the last `seconds`.

        Before the first entry of `mask` nothing is known, so that it does not count against them.
        """
        if not self.mask:
            return False
        start = max(moment - seconds, min(begin for begin, _, _ in self.mask))
        return start < moment and any(
            begin <= start + _SLACK and moment <= end + 0.5 and state is MaskState.MASKED
            for begin, end, state in self.mask
        )


class ExpectedObject(_Seen, frozen=True, kw_only=True):
    """A poster, a screen, the back of a head (`forbidden`), or an area of people too small to list."""


class ExpectedClip(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of one clip."""

    people: tuple[ExpectedPerson, ...] = ()
    objects: tuple[ExpectedObject, ...] = ()

    def __post_init__(self) -> None:
        ids = [person.id for person in self.people]
        if twice := sorted({one for one in ids if ids.count(one) > 1}):
            raise ValueError(f"several people have the id {twice[0]!r}; each visit has its own")


class _ExpectedFile(msgspec.Struct, frozen=True):
    clips: dict[str, ExpectedClip]


def read_expected(folder: Path) -> dict[str, ExpectedClip]:
    """Return the clips of the folder's `expected.json` by file name. Raises UsageError."""
    path = folder / EXPECTED_FILE
    try:
        raw = read_file(path, _MAX_BYTES)
        clips = msgspec.json.decode(raw, type=_ExpectedFile).clips
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror}; --real needs a folder of clips with this file "
            "(docs/real-clips.md)"
        ) from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}: {error} (docs/real-clips.md describes the file)") from error
    outside = next((name for name in clips if Path(name).name != name), None)
    if outside is not None:
        raise UsageError(f"{path}: {outside!r} is not the name of a file of that folder")
    return clips
