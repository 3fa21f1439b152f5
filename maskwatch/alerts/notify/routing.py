"""Which alerts a channel sends, and when it pauses: filters, quiet hours, and the limit of a burst."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from maskwatch.clock import Clock
from maskwatch.config.schema import ChannelConfig
from maskwatch.domain import Change, ChangeKind, DailyHours, Incident


def accepts(channel: ChannelConfig, subject: Change | Incident) -> bool:
    """Return whether a channel's filters select this alert."""
    if isinstance(subject, Change):
        return channel.violations and _accepts_change(channel, subject)
    camera = subject.camera
    if not channel.incidents or channel.unacknowledged_for:
        return False
    return not channel.cameras or not camera or camera in channel.cameras


def _accepts_change(channel: ChannelConfig, change: Change) -> bool:
    kinds = {ChangeKind.OPENED}
    if channel.ended and not channel.unacknowledged_for:
        kinds.add(ChangeKind.CLOSED)
    violation = change.violation
    return (
        change.kind in kinds
        and (not channel.cameras or violation.camera in channel.cameras)
        and (not channel.zones or violation.zone in channel.zones)
    )


def in_quiet_hours(channel: ChannelConfig, now: datetime) -> bool:
    """Return whether `now` is in the channel's quiet hours; equal start and end mean none."""
    start, end = channel.quiet_start, channel.quiet_end
    if not start or not end or start == end:
        return False
    return DailyHours.parse(start, end, channel.time_zone).contains(now)


class BurstLimit:
    """Allows `burst` notifications within `period` seconds; may be read from any thread."""

    def __init__(self, burst: int, period: float, clock: Clock) -> None:
        self._burst = burst
        self._period = period
        self._clock = clock
        self._sent_at: deque[float] = deque(maxlen=burst)

    @property
    def remaining(self) -> int:
        since = self._clock.monotonic() - self._period
        return self._burst - sum(moment > since for moment in list(self._sent_at))

    def count(self) -> None:
        self._sent_at.append(self._clock.monotonic())
