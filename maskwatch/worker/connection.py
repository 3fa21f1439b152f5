"""A worker's connections to the supervisor and to the recorder, on a thread of their own.

Neither delays the camera's frames, and both work while the main thread hangs in a decoder.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence

from maskwatch.clock import Clock
from maskwatch.errors import WireError
from maskwatch.ipc.child import SupervisorChannel
from maskwatch.ipc.loop import EventLoop
from maskwatch.ipc.messages import (
    Command,
    CommandResult,
    Ready,
    Recorded,
    SetRate,
    Stop,
    WorkerHello,
)
from maskwatch.worker.recorder_link import RecorderLink
from maskwatch.worker.status_reporter import StatusReporter

_log = logging.getLogger(__name__)

_END_TIMEOUT_S = 2.0


class WorkerConnection:
    """Runs the thread that serves both connections. The main thread calls the public methods.

    Args:
        hello: identifies this worker to the recorder.
        on_supervisor_gone: called when the supervisor's end closes; must end the process.
        on_recorded: called on this thread after each acknowledgement of the recorder.

    Attributes:
        status: reports heartbeats and metrics to the supervisor.
        recorder: hands changes, minutes and snapshots to the recorder.
        stopping: set once the supervisor has sent `Stop`.
        grace: seconds from then until the supervisor kills this process.
        rate: frames to analyse per second, if the supervisor has set it; None for the configured rate.
    """

    def __init__(
        self,
        supervisor: SupervisorChannel,
        recorder_path: str,
        hello: WorkerHello,
        *,
        clock: Clock,
        on_supervisor_gone: Callable[[], object] = lambda: os._exit(0),
        on_recorded: Callable[[Recorded], object] = lambda _: None,
    ) -> None:
        self.stopping = threading.Event()
        self.grace = 0.0
        self.rate: float | None = None
        self._loop = EventLoop(clock)
        self.recorder = RecorderLink(
            recorder_path,
            hello,
            loop=self._loop,
            clock=clock,
            answer=self.answer,
            on_recorded=on_recorded,
        )
        self.status = StatusReporter(supervisor, self._loop, clock, self.recorder.metrics)
        self._supervisor = supervisor
        self._on_supervisor_gone = on_supervisor_gone
        self._commands: deque[Command] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="connection", daemon=True)

    def start(self, sandbox: Sequence[str] = ()) -> None:
        """Start the thread; `sandbox` names the layers that confine this process."""
        self._supervisor.send(Ready(sandbox=tuple(sandbox)))
        self._thread.start()

    def commands(self) -> list[Command]:
        """Return the commands that arrived since the last call."""
        return [self._commands.popleft() for _ in range(len(self._commands))]

    def answer(self, result: CommandResult) -> None:
        self._supervisor.send(result)

    def close(self) -> None:
        self._closing = True
        self._loop.wake()
        self._thread.join(_END_TIMEOUT_S)

    # --- on the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        self._loop.watch(self._supervisor, self._receive)
        self.status.start()
        while not self._closing:
            self._turn()
        self.status.send_all()
        self.recorder.close()
        self._loop.close()

    def _turn(self) -> None:
        until_next = self.recorder.turn()
        self.status.send_change()
        self._loop.turn(until_next)
        if self._supervisor.waiting:
            self._supervisor.flush()

    def _receive(self) -> None:
        try:
            for message in self._supervisor.messages():
                match message:
                    case Stop():
                        self.grace = message.grace
                        self.stopping.set()
                    case SetRate():
                        self.rate = message.rate
                    case Command():
                        self._commands.append(message)
                    case _:
                        pass  # a configuration: the channel has applied its log settings
        except WireError as error:
            _log.error("the supervisor sent an invalid message: %s", error)
        if self._supervisor.ended:
            self._on_supervisor_gone()
