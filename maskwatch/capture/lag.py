"""How far a reader has fallen behind a live stream, told from the stream's own clock."""

from __future__ import annotations

__all__ = ["LagMeter"]

_JUMP_S = 5.0
_DRIFT = 1e-3


class LagMeter:
    """Compares the stream's clock with arrival: the smallest difference seen counts as no lag.

    The reference rises by a thousandth of the time that passes, so that a camera whose clock runs
    slow does not seem to lag; after a jump of the stream's clock it starts anew.
    """

    def __init__(self) -> None:
        self._best: float | None = None
        self._stream_time = 0.0
        self._arrival = 0.0

    def lag(self, stream_time: float, arrival: float) -> float:
        """Seconds by which a packet is late; both times in seconds, each of its own clock."""
        offset = arrival - stream_time
        if self._best is None or abs(stream_time - self._stream_time) > _JUMP_S:
            self._best = offset
        else:
            self._best = min(offset, self._best + _DRIFT * (arrival - self._arrival))
        self._stream_time, self._arrival = stream_time, arrival
        return offset - self._best
