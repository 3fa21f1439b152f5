"""What the daemon needs and cannot always have at its start: each is tried again until it is there.

Cameras are watched meanwhile. An attempt that fails for a cause that cannot pass ends the daemon.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from maskwatch.backoff import Backoff, RetryTimer
from maskwatch.clock import Clock
from maskwatch.temporary import is_temporary

_log = logging.getLogger(__name__)

Attempt = Callable[[], Awaitable[object]]
_BACKOFF = Backoff(first=0.5, cap=15.0, min_fraction=0.5)


class Prerequisites:
    """Makes the attempts.

    Attributes:
        missing: by name, why a prerequisite is not there, and is tried again.
    """

    def __init__(self, clock: Clock) -> None:
        self.missing: dict[str, str] = {}
        self._clock = clock

    @property
    def in_words(self) -> str:
        """What is missing and why, "" if nothing."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.missing.items())

    async def tried(self, name: str, attempt: Attempt) -> bool:
        """Make one attempt; return whether it succeeded.

        Raises:
            MaskwatchError: the cause of the failure cannot pass.
        """
        try:
            await attempt()
        except Exception as error:
            if not is_temporary(error):
                raise
            self._report(name, str(error))
            return False
        if self.missing.pop(name, None) is not None:
            _log.info("%s: available now", name)
        return True

    async def obtain(self, name: str, attempt: Attempt) -> None:
        """Make attempts, with growing pauses, until one succeeds.

        Raises:
            MaskwatchError: the cause of a failure cannot pass.
        """
        timer = RetryTimer(_BACKOFF)
        while not await self.tried(name, attempt):
            await asyncio.sleep(timer.failed(self._clock.monotonic()))

    def _report(self, name: str, reason: str) -> None:
        if self.missing.get(name) != reason:
            _log.warning("%s: not available now, trying again: %s", name, reason)
        self.missing[name] = reason
