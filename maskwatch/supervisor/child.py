"""One child that is kept running: started, watched, ended and replaced.

Nothing here waits. The main loop calls `tick` and `reap`, and `receive` when the channel has data;
each gets the monotonic time. No other module restarts a child.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from maskwatch.errors import (
    SourceRedirectedError,
    SourceTooLargeError,
    TemporaryError,
    WireError,
)
from maskwatch.ipc.messages import Configure, Heartbeat, Ready, Stop, ToSupervisor, Unavailable
from maskwatch.ipc.token_bucket import TokenBucket
from maskwatch.supervisor.hang_detection import HangDetector
from maskwatch.supervisor.launcher import ProcessLauncher
from maskwatch.supervisor.process import ChildProcess, describe_exit
from maskwatch.supervisor.restart_policy import RestartPolicy
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.telemetry.catalogue import Owner

_log = logging.getLogger(__name__)
# A worker sends about 2 kB a second; while the supervisor is stopped, up to 1 MiB waits at the
# worker's end (`Channel.limit`).
_BYTES_PER_SECOND = 64 << 10
_MAX_BURST = 2 << 20
_MAX_REASON = 300  # characters that are kept of a child's own text


class Phase(StrEnum):
    """What is being done with a child."""

    IDLE = "idle"  # it is not to run
    WAITING = "waiting"  # it will be started when its pause is over
    STARTING = "starting"  # its process runs, but is not ready
    RUNNING = "running"
    STOPPING = "stopping"  # it was asked to end
    QUARANTINED = "quarantined"  # it failed too often; a longer pause


@dataclass(frozen=True, slots=True)
class ChildKind:
    """What a child is: its module, the process's name in metrics, its camera ("" for none)."""

    module: str
    process: Owner
    camera: str = ""

    def __str__(self) -> str:
        return f"{self.process} of {self.camera}" if self.camera else str(self.process)


class ChildEvents:
    """What happens to children; to be overridden as needed. No method may block."""

    def started(self, child: ManagedChild) -> None:
        """Called when a process was started."""

    def received(self, child: ManagedChild, message: ToSupervisor) -> None:
        """Called with every message except `Ready` and `Heartbeat`."""

    def changed(self, child: ManagedChild) -> None:
        """Called when the phase changed, and after each heartbeat."""

    def ended(self, child: ManagedChild, code: int, reason: str) -> None:
        """Called when a process ended; `reason` is of RESTART_REASONS, or "" after an ordered stop."""

    def removed(self, child: ManagedChild) -> None:
        """Called when a camera that is no longer configured has no process left."""


@dataclass(slots=True)
class _Run:
    """One process of a child, from its start to its end.

    Attributes:
        kill_at: when an orderly end must be over; None while none was asked for.
        kill_cause: why it was killed, in words; "" while it was not.
        end_reason: the reason of its end for `ChildEvents.ended`, if known beforehand.
        unavailable: what it has reported as not available now, "" if nothing.
    """

    process: ChildProcess
    hangs: HangDetector
    allowance: TokenBucket
    kill_at: float | None = None
    kill_cause: str = ""
    end_reason: str = ""
    unavailable: str = ""

    def exit_reason(self, code: int) -> str:
        """Return the reason of an end that was not asked for."""
        if self.end_reason:
            return self.end_reason
        if not self.hangs.is_ready:
            return "start_failed"
        if code == SourceTooLargeError.exit_code:
            return "memory"
        return "killed" if code < 0 else "exited"


class ManagedChild:
    """Keeps one child in the phase that it should have.

    `configuration` is what its next process is given; `reason` is why it is not running.
    `misbehaviour` is how a process of this child violated the protocol; "" once another process has run
    for `restart_window` seconds without a failure.
    """

    def __init__(
        self,
        kind: ChildKind,
        configuration: Configure,
        *,
        launcher: ProcessLauncher,
        events: ChildEvents,
        timeouts: Timeouts,
        policy: RestartPolicy,
    ) -> None:
        self.kind = kind
        self.configuration = configuration
        self.phase = Phase.IDLE
        self.reason = ""
        self.due = 0.0
        self.attempt = 0
        self.redirected = False
        self.misbehaviour = ""
        self.sandbox: tuple[str, ...] = ()
        self.policy = policy
        self._launcher = launcher
        self._events = events
        self._timeouts = timeouts
        self._run: _Run | None = None
        self._previous_pid = 0
        self._starts = 0
        self._start_again = False

    # --- orders ------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Run the child from now on; one in quarantine is started immediately."""
        if self.phase is Phase.STOPPING:
            self._start_again = True
        elif self._run is None:
            self.policy.reset()
            self.misbehaviour = ""
            self._wait_until(now, Phase.WAITING)

    def hold(self, reason: str) -> None:
        """Do not run the child until `start`: what its configuration names is not available."""
        if self._run is None:
            self._wait_until(math.inf, Phase.WAITING, reason)

    def stop(self, now: float) -> None:
        """End the child in order, and do not replace it."""
        self._start_again = False
        if self._run is None:
            self._enter(Phase.IDLE)
        else:
            self._ask_to_end(self._run, now)

    def renew(self, now: float, reason: str) -> None:
        """End the child in order and start another in its place.

        `reason` is `config` or `memory` of the catalogue's RESTART_REASONS.
        """
        if self._run is None:
            self.start(now)
            return
        self._run.end_reason = reason
        self._ask_to_end(self._run, now)
        self._start_again = True

    def kill(self) -> None:
        """Kill the child immediately, and do not replace it."""
        self._start_again = False
        if self._run is not None:
            self._run.process.kill()

    def report_misbehaviour(self, reason: str, pid: int | None = None) -> bool:
        """Kill and replace a child that violates the protocol.

        With `pid`, only if that is its process. If it was the process before, which has ended, the
        violation is only noted. Returns whether it was either.
        """
        cause = f"violated the protocol ({reason})"
        if pid in (None, self.pid):
            self._kill_misbehaving(cause)
        elif pid == self._previous_pid:
            self.misbehaviour = cause
        return pid in (None, self.pid, self._previous_pid)

    def extend_deadlines(self, seconds: float) -> None:
        """Give the child more time, since this process itself was delayed for so long."""
        if self._run is not None:
            self._run.hangs.extend_deadlines(seconds)
            if self._run.kill_at is not None:
                self._run.kill_at += seconds

    def send(self, message: msgspec.Struct) -> bool:
        """Send to the child; return False if there is no process that can receive it."""
        return self._run is not None and self._run.process.channel.send(message)

    # --- state -------------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        return None if self._run is None else self._run.process.pid

    @property
    def heartbeat(self) -> Heartbeat | None:
        return None if self._run is None else self._run.hangs.heartbeat

    @property
    def restarts(self) -> int:
        return max(0, self._starts - 1)

    @property
    def held(self) -> bool:
        return self.phase is Phase.WAITING and self.due == math.inf

    @property
    def was_started(self) -> bool:
        return self._starts > 0

    # --- the main loop -----------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Start the child if its pause is over; kill it if it hangs or takes too long to end."""
        run = self._run
        if run is None:
            if self.phase in (Phase.WAITING, Phase.QUARANTINED) and now >= self.due:
                self._launch(now)
            return
        if run.process.channel.waiting:
            run.process.channel.flush()
        if run.kill_at is not None:
            if now >= run.kill_at:
                self._kill("took too long to end", "")
        elif hang := run.hangs.hang_reason(now):
            self._kill(hang, "hung")
        elif self.phase is Phase.RUNNING:
            self.policy.has_run(now - run.hangs.started)
            if now - run.hangs.started >= self._timeouts.restart_window:
                self.misbehaviour = ""

    def receive(self, now: float) -> None:
        run = self._run
        if run is None:
            return
        channel = run.process.channel
        try:
            messages = channel.receive()
        except WireError as error:
            self._kill_misbehaving(f"sent an invalid message ({error})")
            messages = []
        if channel.ended:
            self._launcher.stop_reading(run.process)
        if self.kind.camera and not run.allowance.spend(channel.received_bytes, now):
            self._kill_misbehaving(f"sent more than {_BYTES_PER_SECOND >> 10} KiB a second")
            messages = []
        for message, _ in messages:
            self._handle_any(run, message, now)

    def reap(self, now: float) -> None:
        run = self._run
        code = None if run is None else run.process.poll()
        if run is None or code is None:
            return
        self.receive(now)  # messages that it sent before its end
        self._launcher.ended(run.process)
        self._run, self._previous_pid = None, run.process.pid
        if self.phase is Phase.STOPPING:
            reason = run.end_reason
            self._after_ordered_end(run, now)
        else:
            reason = run.exit_reason(code)
            self._after_failure(run, code, now)
        self._events.ended(self, code, reason)

    def _launch(self, now: float) -> None:
        configure = msgspec.structs.replace(
            self.configuration, attempt=self.attempt, resolve_redirects=self.redirected
        )
        try:
            process = self._launcher.launch(
                self.kind.module, configure, self.receive, self._kill_misbehaving
            )
        except OSError as error:
            _log.error("the %s cannot be started: %s", self.kind, error)
            self._postpone(now, f"cannot be started: {error.strerror}")
            return
        allowance = TokenBucket(_BYTES_PER_SECOND, _MAX_BURST, now)
        self._run = _Run(process, HangDetector(self._timeouts, now, self._stall_after()), allowance)
        self._starts += 1
        self._events.started(self)
        self._enter(Phase.STARTING, self.reason)
        _log.info("started the %s", self.kind, extra={"pid": process.pid})

    def _stall_after(self) -> float | None:
        """Return the seconds without a new frame that count as a hang; None for the recorder."""
        if not self.kind.camera:
            return None
        (camera,) = self.configuration.config.cameras
        return camera.stall_timeout + self._timeouts.stall_margin

    def _handle_any(self, run: _Run, message: ToSupervisor, now: float) -> None:
        try:
            self._handle(run, message, now)
        except Exception:  # noqa: BLE001 - what a child sends must never end this process
            name = type(message).__name__
            _log.exception("a message %s of the %s cannot be handled", name, self.kind)
            if self.kind.camera:
                self.report_misbehaviour(f"sent a {name} that cannot be handled")

    def _handle(self, run: _Run, message: ToSupervisor, now: float) -> None:
        match message:
            case Ready():
                self.sandbox = message.sandbox
                run.hangs.ready(now)
                self.policy.started()
                if self.phase is Phase.STARTING:
                    self._enter(Phase.RUNNING)
            case Heartbeat():
                run.hangs.received(message, now)
                self._events.changed(self)
            case Unavailable():
                run.unavailable = message.reason[:_MAX_REASON]
            case _:
                self._events.received(self, message)

    def _ask_to_end(self, run: _Run, now: float) -> None:
        if self.phase is not Phase.STOPPING:
            self.send(Stop(grace=self._timeouts.grace))
            run.kill_at = now + self._timeouts.grace + self._timeouts.kill_after
            self._enter(Phase.STOPPING)

    def _kill(self, cause: str, end_reason: str) -> None:
        run = self._run
        if run is None or run.kill_cause:
            return
        _log.warning("the %s %s: killing it", self.kind, cause, extra={"pid": run.process.pid})
        run.kill_cause = cause
        run.end_reason = end_reason or run.end_reason
        run.process.kill()

    def _kill_misbehaving(self, cause: str) -> None:
        self.misbehaviour = cause
        self._kill(cause, "misbehaved")

    def _after_ordered_end(self, run: _Run, now: float) -> None:
        start_again, self._start_again = self._start_again, False
        self.attempt = 0
        if not start_again:
            self._enter(Phase.IDLE)
        elif run.end_reason == "memory" and now - run.hangs.started < self._timeouts.restart_window:
            self._pause(now, "needs more memory than supervision.worker_megabytes allows")
        else:
            self._wait_until(now, Phase.WAITING)

    def _after_failure(self, run: _Run, code: int, now: float) -> None:
        self.redirected |= code == SourceRedirectedError.exit_code
        cause = run.kill_cause or describe_exit(code)
        heartbeat = run.hangs.heartbeat
        if run.end_reason == "hung" and run.hangs.connecting and heartbeat is not None:
            # The camera made it hang: the next process continues with the next attempt.
            self.attempt = heartbeat.attempt + 1
            self._wait_until(now, Phase.WAITING, cause)
            return
        self.attempt = 0
        if not run.kill_cause:
            _log.warning("the %s %s", self.kind, cause)
        if code == TemporaryError.exit_code:
            self._postpone(now, f"cannot run now: {run.unavailable or cause}")
        else:
            self._pause(now, cause)

    def _postpone(self, now: float, reason: str) -> None:
        self._wait_until(now + self.policy.postponed().seconds, Phase.WAITING, reason)

    def _pause(self, now: float, reason: str) -> None:
        pause = self.policy.failed(now)
        if pause.quarantined:
            _log.error(
                "the %s failed %d times, most recently it %s: next try in %.0f s",
                self.kind,
                self.policy.failures,
                reason,
                pause.seconds,
            )
        phase = Phase.QUARANTINED if pause.quarantined else Phase.WAITING
        self._wait_until(now + pause.seconds, phase, reason)

    def _wait_until(self, due: float, phase: Phase, reason: str = "") -> None:
        self.due = due
        self._enter(phase, reason)

    def _enter(self, phase: Phase, reason: str = "") -> None:
        self.phase = phase
        self.reason = reason
        self._events.changed(self)
