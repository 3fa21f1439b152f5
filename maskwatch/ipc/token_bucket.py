"""A token bucket: limits how much a peer may send, or how fast work may start."""

from __future__ import annotations


class TokenBucket:
    """Fills by `rate` tokens a second up to `capacity`, and starts full; times are monotonic seconds."""

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self._rate = rate
        self._capacity = capacity
        self._tokens = capacity
        self._filled_at = now

    def available(self, now: float) -> float:
        """Return the tokens in the bucket; negative while a debt is not yet refilled."""
        elapsed = now - self._filled_at
        self._tokens = min(self._capacity, self._tokens + elapsed * self._rate)
        self._filled_at = now
        return self._tokens

    def is_full(self, now: float) -> bool:
        return self.available(now) >= self._capacity

    def take(self, amount: float, now: float) -> bool:
        """Take `amount` if it is available; return whether it was."""
        if self.available(now) < amount:
            return False
        self._tokens -= amount
        return True

    def spend(self, amount: float, now: float) -> bool:
        """Take `amount` of what has been received already; return False once that makes a debt."""
        self._tokens = self.available(now) - amount
        return self._tokens >= 0
