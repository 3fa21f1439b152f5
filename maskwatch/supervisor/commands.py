"""Routes commands to the process that executes them, and each result back to the command's origin.

This is the only table of pending commands, and the only time-out of one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.supervisor.children import ChildProcesses

_log = logging.getLogger(__name__)

Reply = Callable[[CommandResult], None]

_MAX_PENDING = 100
_MAX_DETAIL = 1000


class CommandExecutor:
    """Executes the supervisor's own commands, and forwards the others to their child.

    `switch` starts or stops a camera's worker. `reload` starts a reload, and calls back at its end with
    its success and a summary.
    """

    def __init__(
        self,
        children: ChildProcesses,
        switch: Callable[..., str],
        reload: Callable[[Callable[[bool, str], None]], None],
    ) -> None:
        self._children = children
        self.switch = switch
        self.reload = reload

    def forward(self, command: Command) -> str:
        """Send the command to the child that executes it; return "" or the reason why not."""
        worker = self._children.workers.get(command.target)
        if command.verb in {"acknowledge", "retry"} or (command.verb == "snooze" and worker is not None):
            sent = self._children.recorder.send(command)
            return "" if sent else "the recorder does not run"
        if worker is None:
            return f"there is no camera {command.target!r}"
        return "" if worker.send(command) else f"the camera {command.target} has no running process"


@dataclass(frozen=True, slots=True)
class _Pending:
    command: Command
    reply: Reply
    deadline: float

    @property
    def camera(self) -> str:
        """The camera whose worker executes it, "" for the recorder."""
        return self.command.target if self.command.verb == "snapshot" else ""


class CommandRouter:
    """Holds the commands that wait for a child's result; times are monotonic seconds.

    `timeout`: seconds that a child may take. `counted` is called with the verb and the success of
    each command that ended.
    """

    def __init__(
        self, executor: CommandExecutor, timeout: float, counted: Callable[[str, bool], None]
    ) -> None:
        self._executor = executor
        self._timeout = timeout
        self._counted = counted
        self._pending: dict[str, _Pending] = {}

    def run(self, command: Command, reply: Reply, now: float) -> None:
        """Execute or forward a command; `reply` is called once, now or later."""
        _log.info("command %s", _in_words(command), extra=_context(command))
        match command.verb:
            case "enable" | "disable":
                on = command.verb == "enable"
                fault = self._executor.switch(
                    command.target, on=on, seconds=command.seconds, by=command.by
                )
                self._end(command, reply, fault, f"{command.verb}d {command.target}")
            case "reload":
                self._executor.reload(
                    lambda ok, summary: self._finish(command, reply, ok=ok, detail=summary)
                )
            case "snooze" | "snapshot" | "acknowledge" | "retry":
                self._forward(command, reply, now)
            case _:
                self._end(command, reply, f"unknown command {command.verb!r}", "")

    def done(self, result: CommandResult, camera: str) -> None:
        """Take the result of a child: the worker of `camera`, or with "" the recorder."""
        pending = self._pending.get(result.id)
        if pending is None:
            return
        if camera != pending.camera:
            _log.error("unexpected command result from the worker of %s: ignored", camera)
            return
        self._end_pending(msgspec.structs.replace(result, detail=result.detail[:_MAX_DETAIL]))

    def expire(self, now: float) -> None:
        """Fail the commands whose child has not answered in time."""
        for pending in [p for p in self._pending.values() if now >= p.deadline]:
            self._end_pending(
                CommandResult(id=pending.command.id, ok=False, detail="its process did not answer")
            )

    def _end_pending(self, result: CommandResult) -> None:
        pending = self._pending.pop(result.id)
        self._counted(pending.command.verb, result.ok)
        pending.reply(result)

    def _forward(self, command: Command, reply: Reply, now: float) -> None:
        if len(self._pending) >= _MAX_PENDING:
            self._end(command, reply, "too many commands wait for an answer", "")
            return
        fault = self._executor.forward(command)
        if fault:
            self._end(command, reply, fault, "")
        else:
            self._pending[command.id] = _Pending(command, reply, now + self._timeout)

    def _end(self, command: Command, reply: Reply, fault: str, detail: str) -> None:
        self._finish(command, reply, ok=not fault, detail=fault or detail)

    def _finish(self, command: Command, reply: Reply, *, ok: bool, detail: str) -> None:
        self._counted(command.verb, ok)
        result = "done" if ok else "refused"
        _log.info("command %s %s: %s", _in_words(command), result, detail, extra=_context(command))
        reply(CommandResult(id=command.id, ok=ok, detail=detail))


def _in_words(command: Command) -> str:
    seconds = f" for {command.seconds:g} s" if command.seconds else ""
    return f"{command.verb} {command.target}".strip() + seconds


def _context(command: Command) -> dict[str, str]:
    return {"by": command.by or command.origin, "command": command.id}
