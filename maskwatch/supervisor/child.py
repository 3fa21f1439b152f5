"""Keeps one child alive: starts, watches, ends and replaces it. The only place that restarts one.

A keeper does not wait for anything. The main loop tells it the time (`tick`), when its channel has
something to read (`receive`), and that some child ended (`reap`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from maskwatch.errors import WireError
from maskwatch.ipc.messages import Configure, Heartbeat, Ready, Stop, ToSupervisor
from maskwatch.ipc.token_bucket import TokenBucket
from maskwatch.supervisor.hang_detection import HangDetector
from maskwatch.supervisor.process import ChildProcess, Spawn, exit_in_words
from maskwatch.supervisor.restart_policy import RestartPolicy
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.telemetry.catalogue import Owner

__all__ = ["ChildKind", "KeeperOwner", "ManagedChild", "Phase"]

_log = logging.getLogger(__name__)
# A worker says some 2 kB a second; while we do not listen, 1 MiB waits at its end (`Channel.limit`).
_BYTES_A_SECOND = 64 << 10
_MOST_BYTES = 2 << 20


class Phase(StrEnum):
    """What a keeper is doing."""

    IDLE = "idle"  # the child is not wanted
    WAITING = "waiting"  # it will be started when its pause is over
    STARTING = "starting"  # its process runs, but is not ready
    RUNNING = "running"
    STOPPING = "stopping"  # it was told to end
    QUARANTINED = "quarantined"  # it failed too often; a longer pause


@dataclass(frozen=True, slots=True)
class ChildKind:
    """What child it is: its module, the process's name in metrics, its camera ("" for none)."""

    module: str
    process: Owner
    camera: str = ""

    def __str__(self) -> str:
        return f"{self.process} of {self.camera}" if self.camera else str(self.process)


class KeeperOwner(Protocol):
    """What a keeper needs of the supervisor. Nothing here may block."""

    def configuration(self, keeper: ManagedChild) -> Configure:
        """Return what the child is told first."""
        ...

    def watch(self, keeper: ManagedChild) -> None:
        """Call `receive` whenever the child's channel can be read."""
        ...

    def unwatch(self, keeper: ManagedChild) -> None:
        """The channel is about to be closed."""
        ...

    def heard(self, keeper: ManagedChild, message: ToSupervisor) -> None:
        """The child said something that is not about its own health."""
        ...

    def changed(self, keeper: ManagedChild) -> None:
        """The phase changed, or a heartbeat came."""
        ...

    def ended(self, keeper: ManagedChild, code: int, reason: str) -> None:
        """The process ended; `reason` is one of the catalogue's RESTART_REASONS, or "" if told to."""
        ...


class ManagedChild:
    """See the module. `standstill` is the child's own limit for frames standing still, if any."""

    def __init__(
        self,
        kind: ChildKind,
        owner: KeeperOwner,
        limits: Timeouts,
        policy: RestartPolicy,
        spawn: Spawn,
        *,
        standstill: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.kind = kind
        self.phase = Phase.IDLE
        self.why = ""
        self.attempt = 0
        self.due = 0.0
        self.policy = policy
        self.restarts = 0
        self.ever_started = False
        self._owner = owner
        self._limits = limits
        self._spawn = spawn
        self._standstill = standstill
        self._process: ChildProcess | None = None
        self._health: HangDetector | None = None
        self._allowance = TokenBucket(_BYTES_A_SECOND, _MOST_BYTES, 0.0)
        self._kill_at: float | None = None
        self._killed_for = ""
        self._ending_as = ""
        self._again = False

    # --- what it is told ---------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Have the child run from now on; one in quarantine gets a new try."""
        if self.phase is Phase.STOPPING:
            self._again = True
        elif self._process is None:
            self.policy.forgive()
            self._wait_until(now, Phase.WAITING)

    def stop(self, now: float) -> None:
        """Have the child end in order, and not come back."""
        self._again = False
        if self._process is None:
            self._enter(Phase.IDLE)
        else:
            self._order_end(now)

    def renew(self, now: float, reason: str) -> None:
        """Have the child end in order and a new one take its place.

        `reason` is `config` or `memory` of the catalogue's RESTART_REASONS.
        """
        if self._process is None:
            self.start(now)
            return
        self._ending_as = reason
        self._order_end(now)
        self._again = True

    def abandon(self) -> None:
        """Kill the child at once; used when the time for an orderly end is up."""
        self._again = False
        if self._process is not None:
            self._process.kill()

    # --- what it sees ------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """The child's process id, while it has one."""
        return None if self._process is None else self._process.pid

    @property
    def beat(self) -> Heartbeat | None:
        """The newest heartbeat of the running child."""
        return None if self._health is None else self._health.beat

    def age(self, now: float) -> float:
        """Seconds since the present process was started; 0 without one."""
        return 0.0 if self._health is None else now - self._health.started

    def fileno(self) -> int:
        """Return the channel's descriptor; -1 without one."""
        return -1 if self._process is None else self._process.channel.fileno()

    def send(self, message: msgspec.Struct) -> bool:
        """Send to the child; return False if there is none to take it."""
        return self._process is not None and self._process.channel.send(message)

    # --- what happens ------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self._process is None:
            if self.phase in (Phase.WAITING, Phase.QUARANTINED) and now >= self.due:
                self._launch(now)
            return
        if self._process.channel.waiting:
            self._process.channel.flush()
        if self._kill_at is not None:
            if now >= self._kill_at:
                self._kill("took too long to end", "")
            return
        assert self._health is not None  # comes and goes with the process
        ailment = self._health.ailment(now)
        if ailment:
            self._kill(ailment, "hung")
        elif self.phase is Phase.RUNNING:
            self.policy.ran(self.age(now))

    def distrust(self, why: str) -> None:
        """Another process of ours says that the child breaks the rules: have it replaced."""
        self._kill(f"broke the rules ({why})", "killed")

    def excuse(self, seconds: float) -> None:
        """We ourselves stood still for so long: the child is not to blame for it."""
        if self._health is not None:
            self._health.excuse(seconds)
        if self._kill_at is not None:
            self._kill_at += seconds

    def receive(self, now: float) -> None:
        """Read what the child has sent."""
        process = self._process
        if process is None:
            return
        try:
            messages = process.channel.receive()
        except WireError as error:
            self._kill(f"sent what is no message ({error})", "killed")
            messages = []
        if process.channel.ended:
            self._owner.unwatch(self)
        if self.kind.camera and not self._allowance.spend(process.channel.received_bytes, now):
            self._kill("says more than a worker has to say", "killed")
            messages = []
        for message, _ in messages:
            self._take(message, now)

    def reap(self, now: float) -> None:
        """Notice that the child ended, if it did."""
        process = self._process
        code = None if process is None else process.poll()
        if process is None or code is None:
            return
        self.receive(now)  # its last words
        wanted = self._kill_at is not None and self.phase is Phase.STOPPING
        reason = self._reason(code, wanted=wanted)
        age, health = self.age(now), self._health
        self._owner.unwatch(self)
        process.channel.close()
        self._process = self._health = self._kill_at = None
        killed_for, self._killed_for, self._ending_as = self._killed_for, "", ""
        if wanted:
            self._after_wanted_end(now, reason, age)
        else:
            self._after_failure(now, code, killed_for, health)
        self._owner.ended(self, code, reason)

    # --- inside ------------------------------------------------------------------------------------

    def _launch(self, now: float) -> None:
        try:
            self._process = self._spawn(self.kind.module, self._owner.configuration(self))
        except OSError as error:
            _log.error("%s cannot be started: %s", self.kind, error)
            self._pause(now, f"cannot be started: {error.strerror}")
            return
        self._health = HangDetector(self._limits, now, self._standstill())
        self._allowance = TokenBucket(_BYTES_A_SECOND, _MOST_BYTES, now)
        self.restarts += self.ever_started
        self.ever_started = True
        self._owner.watch(self)
        self._enter(Phase.STARTING, self.why)
        _log.info("started the %s", self.kind, extra={"pid": self._process.pid})

    def _take(self, message: ToSupervisor, now: float) -> None:
        assert self._health is not None  # comes and goes with the process
        match message:
            case Ready():
                self._health.ready(now)
                if self.phase is Phase.STARTING:
                    self._enter(Phase.RUNNING)
            case Heartbeat():
                self._health.heard(message, now)
                self._owner.changed(self)
            case _:
                self._owner.heard(self, message)

    def _order_end(self, now: float) -> None:
        if self.phase is Phase.STOPPING:
            return
        self.send(Stop(grace=self._limits.grace))
        self._kill_at = now + self._limits.grace + self._limits.mercy
        self._enter(Phase.STOPPING)

    def _kill(self, why: str, reason: str) -> None:
        if self._killed_for or self._process is None:
            return
        _log.warning("the %s %s: killing it", self.kind, why, extra={"pid": self._process.pid})
        self._killed_for = why
        self._ending_as = reason or self._ending_as
        self._process.kill()

    def _reason(self, code: int, *, wanted: bool) -> str:
        if wanted or self._ending_as:
            return self._ending_as
        if self._health is not None and self._health.ready_at is None:
            return "start_failed"
        return "killed" if code < 0 else "exited"

    def _after_wanted_end(self, now: float, reason: str, age: float) -> None:
        again, self._again = self._again, False
        self.attempt = 0
        if not again:
            self._enter(Phase.IDLE)
        elif reason == "memory" and age < self._limits.window:
            self._pause(now, "needs too much memory")
        else:
            self._wait_until(now, Phase.WAITING)

    def _after_failure(
        self, now: float, code: int, killed_for: str, health: HangDetector | None
    ) -> None:
        why = killed_for or exit_in_words(code)
        if killed_for and health is not None and health.opening and health.beat is not None:
            # The camera made it hang, not a fault of its own: the next one goes on where it was.
            self.attempt = health.beat.attempt + 1
            self._wait_until(now, Phase.WAITING, why)
            return
        self.attempt = 0
        if not killed_for:
            _log.warning("the %s %s", self.kind, why)
        self._pause(now, why)

    def _pause(self, now: float, why: str) -> None:
        pause = self.policy.failed(now)
        phase = Phase.QUARANTINED if pause.quarantined else Phase.WAITING
        if pause.quarantined:
            _log.error(
                "the %s failed %d times, most recently it %s: next try in %.0f s",
                self.kind,
                self.policy.failures,
                why,
                pause.seconds,
            )
        self._wait_until(now + pause.seconds, phase, why)

    def _wait_until(self, due: float, phase: Phase, why: str = "") -> None:
        self.due = due
        self._enter(phase, why)

    def _enter(self, phase: Phase, why: str = "") -> None:
        self.phase = phase
        self.why = why
        self._owner.changed(self)
