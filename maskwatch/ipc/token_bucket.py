"""How much a peer may say: so much a second, and a stock of it for when nobody listened."""

from __future__ import annotations

__all__ = ["TokenBucket"]


class TokenBucket:
    """A bucket that fills by `rate` a second up to `most`; times are monotonic seconds."""

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate = rate
        self._most = most
        self._left = most
        self._at = now

    def spend(self, amount: float, now: float) -> bool:
        """Take `amount`, which may go below nothing; return whether there was something to take from."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate) - amount
        self._at = now
        return self._left >= 0
