"""Carries out commands: switches cameras, forwards to children, reloads."""

from __future__ import annotations

from collections.abc import Callable

from maskwatch.ipc.messages import Command
from maskwatch.supervisor.children import ChildProcesses

__all__ = ["CommandExecutor"]


class CommandExecutor:
    """Implements `maskwatch.supervisor.commands.Executor`.

    Args:
        children: which are switched, and which commands are forwarded to.
        reload: starts a reload; calls back with its success and a summary.
    """

    def __init__(
        self, children: ChildProcesses, reload: Callable[[Callable[[bool, str], None]], None]
    ) -> None:
        self._children = children
        self._reload = reload

    def switch(self, camera: str, *, on: bool, seconds: float) -> str:
        """Start or stop a camera's worker; return "", or the reason why that is impossible."""
        return self._children.switch(camera, on=on, seconds=seconds)

    def forward(self, command: Command) -> str:
        """Forward a command to its child; return "", or the reason why that is impossible."""
        worker = self._children.workers.get(command.target)
        if command.verb == "acknowledge" or (command.verb == "snooze" and worker is not None):
            sent = self._children.recorder.send(command)
            return "" if sent else "the recorder does not run"
        if worker is None:
            return f"there is no camera {command.target!r}"
        return "" if worker.send(command) else f"the camera {command.target} has no running process"

    def reload(self, done: Callable[[bool, str], None]) -> None:
        """Start a reload; `done` is called at its end."""
        self._reload(done)
