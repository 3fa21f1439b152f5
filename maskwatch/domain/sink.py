"""The state of a destination of alerts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """Whether a sink takes alerts, how many wait for it, and how many are parked.

    `parked_reason`: why the newest of those is parked, "" if none is. `reason`: what is wrong with the
    sink, "" if nothing is known. Neither holds a secret.
    """

    sink: str
    ready: bool
    pending: int
    parked: int
    parked_reason: str = ""
    reason: str = ""
