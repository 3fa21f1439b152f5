"""How long the supervisor waits for what; in one place, so that tests can wait less."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Timeouts"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds but where it says otherwise.

    Attributes:
        tick: between two looks at every child.
        stagger: between the starts of two workers.
        at_once: workers (a number) that may be starting at one time.
        ready: from a child's start to its `Ready`.
        heartbeat: without any heartbeat before a child counts as hung.
        overdue: beyond the deadline that a child gave for its own state.
        standstill: in which a live worker's frames may stand still, beyond its camera's own
            stall time-out.
        grace: for a child to end in order.
        mercy: beyond `grace`, before SIGKILL.
        head_start: for the recorder, before workers are started without it.
        first_pause: before the first restart; doubles up to `longest_pause`, with full jitter.
        longest_pause: the cap of it.
        budget: failures (a number) within `window` that are answered by a restart.
        window: see `budget`; also, how long a child must run to be trusted again.
        quarantine: after the budget is spent; doubles up to `longest_quarantine`.
        longest_quarantine: the cap of it.
        measure: between two readings of a child's memory.
        answer: for a child to answer a command.

    """

    tick: float = 0.25
    stagger: float = 0.1
    at_once: int = 3
    ready: float = 60.0
    heartbeat: float = 15.0
    overdue: float = 5.0
    standstill: float = 15.0
    grace: float = 5.0
    mercy: float = 2.0
    head_start: float = 3.0
    first_pause: float = 0.5
    longest_pause: float = 30.0
    budget: int = 5
    window: float = 300.0
    quarantine: float = 60.0
    longest_quarantine: float = 3600.0
    measure: float = 5.0
    answer: float = 10.0
