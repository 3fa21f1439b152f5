"""Whether a camera is analysed at less than three quarters of its rate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from maskwatch.domain.camera import OVERLOADED_BELOW

_WINDOW_S = 60.0
_STEP_S = 1.0
# Of fewer frames, the loss of one or two would count as overload.
_MIN_DUE = 5
# More than where it begins: a share that varies about the limit must not cause an alert each time.
_SOUND_FROM = 0.85


@dataclass(frozen=True, slots=True)
class _Counts:
    moment: float
    analysed: int
    lost: int


class OverloadMonitor:
    """Compares the frames of the last minute that were analysed with those that were due.

    Attributes:
        share: analysed frames per due one; None until a minute was measured, or if few were due.
        text: the figures of an overloaded camera in words, renewed once a minute; "" for others.
    """

    def __init__(self) -> None:
        self.share: float | None = None
        self.text = ""
        self._counts: deque[_Counts] = deque()
        self._text_at = 0.0

    def update(self, now: float, analysed: int, lost: int, note: str = "") -> None:
        """Add cumulative counts; `lost` frames were due and not analysed. The first frame begins.

        Frames without motion count as analysed. A new text ends with `note`.
        """
        if not analysed or (self._counts and now - self._counts[-1].moment < _STEP_S):
            return
        newest = _Counts(now, analysed, lost)
        self._counts.append(newest)
        while len(self._counts) > 1 and now - self._counts[1].moment >= _WINDOW_S:
            self._counts.popleft()
        oldest = self._counts[0]
        if now - oldest.moment >= _WINDOW_S:
            self._judge(now, analysed - oldest.analysed, lost - oldest.lost, note)

    def _judge(self, now: float, analysed: int, lost: int, note: str) -> None:
        due = analysed + lost
        self.share = analysed / due if due >= _MIN_DUE else None
        limit = _SOUND_FROM if self.text else OVERLOADED_BELOW
        if self.share is None or self.share >= limit:
            self.text = ""
        elif not self.text or now - self._text_at >= _WINDOW_S:  # each new text is published
            self.text = f"{analysed} of {due} frames were analysed in the last minute{note}"
            self._text_at = now
