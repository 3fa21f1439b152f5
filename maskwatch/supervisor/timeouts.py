"""The supervisor's timeouts and limits; in one place, so that tests can use shorter ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds, except the counts `max_starting` and `restart_budget`.

    Attributes:
        tick: between two passes over all children.
        stagger: between the starts of two workers.
        max_starting: how many workers may be starting at one time.
        ready: from a child's start to its `Ready`.
        heartbeat: without a heartbeat until a child counts as hung.
        deadline_margin: beyond the deadline that a child reported for its own state.
        stall_margin: beyond its camera's `stall_timeout`, without a new frame while live, until a
            worker counts as hung.
        grace: for an orderly end.
        kill_after: beyond `grace`, until SIGKILL.
        recorder_start: until workers are started although the recorder is not ready.
        initial_backoff: bound of the pause before the first restart; it doubles with each failure.
        max_backoff: bound of every such pause.
        restart_budget: how many failures within `restart_window` are answered by a restart.
        restart_window: see `restart_budget`; also how long a child must run to end its probation.
        quarantine: after the budget is spent; doubles with each quarantine in succession.
        max_quarantine: bound of every quarantine.
        settle: from the complete start until rates may be lowered; first, all workers load models.
        measure_interval: between two measurements of the processes.
        zygote_start: until the zygote is ready; then workers are started without it.
        fork: for the zygote to fork a worker; the main loop waits for so long.
        command: for a child to answer a command.
    """

    tick: float = 0.25
    stagger: float = 0.1
    max_starting: int = 3
    ready: float = 60.0
    heartbeat: float = 15.0
    deadline_margin: float = 5.0
    stall_margin: float = 15.0
    grace: float = 5.0
    kill_after: float = 2.0
    recorder_start: float = 3.0
    initial_backoff: float = 0.5
    max_backoff: float = 30.0
    restart_budget: int = 5
    restart_window: float = 300.0
    quarantine: float = 60.0
    max_quarantine: float = 3600.0
    settle: float = 60.0
    measure_interval: float = 5.0
    zygote_start: float = 15.0
    fork: float = 3.0
    command: float = 10.0
