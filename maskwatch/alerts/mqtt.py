"""The sink that publishes to an MQTT broker: one session after another, with pauses between.

The recorder's thread only enqueues; everything else happens in one thread of our own, so that a
broker that hangs holds up nobody. The outbox is the only queue: what has no acknowledgement when
a session ends has failed, and comes again from the outbox.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable

from maskwatch.alerts.bell import Bell
from maskwatch.alerts.commands import CommandDesk
from maskwatch.alerts.link import Link, Received
from maskwatch.alerts.session import OFFLINE, Session, availability
from maskwatch.alerts.sink import Delivery, Fate, Outcome, Report, StandingState
from maskwatch.alerts.topics import Topic, Topics, level
from maskwatch.config.schema import Config
from maskwatch.domain import CameraStatus, OccupancyMinute
from maskwatch.errors import MaskwatchError
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.secrets import redact

__all__ = ["MqttSink"]

log = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0

_Job = Delivery | CameraStatus | OccupancyMinute | CommandResult


class MqttSink:
    """Implements `maskwatch.alerts.sink.Sink`.

    `longest_pause` is the most seconds between two attempts to connect.
    """

    name = "mqtt"

    def __init__(self, config: Config, *, longest_pause: float = _LONGEST_PAUSE) -> None:
        self._config = config.mqtt
        self._node = config.node
        self._topics = Topics(config.mqtt.topic_prefix, config.node)
        self._longest_pause = longest_pause
        self._desk = CommandDesk(self._topics, self._node)
        self._jobs: deque[_Job] = deque()
        self._minutes: dict[tuple[str, str], OccupancyMinute] = {}
        self._bell = Bell()
        self._stop_at: float | None = None
        self._ready = False
        self._complaint = ""
        self._thread: threading.Thread | None = None

    @property
    def window(self) -> int:
        """How many deliveries may be without an outcome."""
        return self._config.window

    @property
    def ready(self) -> bool:
        """Whether a session stands whose canary came back."""
        return self._ready

    # --- called by the recorder ---------------------------------------------------------------------

    def start(
        self,
        report: Report,
        standing: Callable[[], StandingState],
        command: Callable[[Command], None],
    ) -> None:
        """Connect in the background, and again whenever the connection is lost."""
        self._report, self._standing, self._command = report, standing, command
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def send(self, delivery: Delivery) -> None:
        """Take a delivery; its outcome is reported once, also when the connection is lost."""
        self._enqueue(delivery)

    def camera_changed(self, status: CameraStatus) -> None:
        """Show a camera's state."""
        self._enqueue(status)

    def occupancy_counted(self, minute: OccupancyMinute) -> None:
        """Show a counted minute."""
        self._enqueue(minute)

    def command_done(self, result: CommandResult) -> None:
        """Answer a command that came through this sink."""
        self._enqueue(result)

    def stop(self, timeout: float) -> None:
        """Wait for what is in flight, say goodbye and end, within `timeout` seconds."""
        self._stop_at = time.monotonic() + timeout * 0.8
        self._bell.ring()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                log.warning("mqtt: the connection did not end in time; it ends with the process")
                return
        self._bell.close()

    def _enqueue(self, job: _Job) -> None:
        self._jobs.append(job)
        self._bell.ring()

    # --- our own thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while self._stop_at is None:
            if self._session():
                pause = _FIRST_PAUSE
            self._wait(random.uniform(0, pause))  # noqa: S311 - spreads clients, guards nothing
            pause = min(pause * 2, self._longest_pause)
        self._refuse_jobs("the sink has ended")

    def _session(self) -> bool:
        """Run one session to its end; return whether it got as far as to deliver."""
        session: Session | None = None
        detail = "the sink has ended"
        link = Link(self._config, f"maskwatch-{level(self._node)}", availability(self._topics, OFFLINE))
        try:
            link.open(self._config.ack_timeout)
            session = self._new_session(link)
            session.begin((), self._subscriptions())
            for minute in self._minutes.values():
                session.show_occupancy(minute)
            self._complaint = ""
            log.info("broker %s: connected, publishing works", link.where)
            self._ready = True
            self._work(session)
        except MaskwatchError as error:
            detail = redact(str(error))
            self._complain(detail)
        except Exception:
            # A thread's entry point: if it died silently, no alert would ever be delivered again.
            detail = "a fault of maskwatch's own"
            log.exception("broker %s: the session ended by %s", link.where, detail)
        finally:
            worked, self._ready = self._ready, False
            link.drop()
            if session is not None:
                session.fail(detail)
            self._refuse_jobs(detail)
        return worked

    def _new_session(self, link: Link) -> Session:
        return Session(
            link,
            self._config,
            self._node,
            topics=self._topics,
            desk=self._desk,
            report=self._report,
            standing=self._standing,
            run=self._command,
        )

    def _work(self, session: Session) -> None:
        while self._stop_at is None:
            self._hand_over(session)
            for message in session.turn(60.0, self._bell):
                self._heard(session, message)
            self._bell.wait(0)
        self._hand_over(session)
        session.part(self._stop_at)

    def _hand_over(self, session: Session) -> None:
        while self._jobs:
            match self._jobs.popleft():
                case Delivery() as delivery:
                    session.deliver(delivery)
                case CameraStatus() as status:
                    session.show_camera(status)
                case OccupancyMinute() as minute:
                    self._minutes[minute.camera, minute.zone] = minute
                    session.show_occupancy(minute)
                case CommandResult() as result:
                    session.answer(self._desk.done(result))

    def _heard(self, session: Session, message: Received) -> None:
        """Take a message that is no command."""

    def _subscriptions(self) -> list[str]:
        if not self._config.commands:
            return []
        return [self._topics.filter(topic) for topic in (Topic.CAMERA_COMMAND, Topic.NODE_COMMAND)]

    def _refuse_jobs(self, detail: str) -> None:
        """Fail the deliveries that no session took; state comes again with the next session."""
        while self._jobs:
            job = self._jobs.popleft()
            if isinstance(job, Delivery):
                self._report(Outcome(job.id, Fate.FAILED, detail))
            elif isinstance(job, OccupancyMinute):
                self._minutes[job.camera, job.zone] = job

    def _wait(self, seconds: float) -> None:
        """Pause; deliveries that come meanwhile fail at once."""
        until = time.monotonic() + seconds
        while self._stop_at is None and (left := until - time.monotonic()) > 0:
            self._bell.wait(left)
            self._refuse_jobs(self._complaint or "not connected")

    def _complain(self, detail: str) -> None:
        """Log a reason once until it changes: the broker may be away for hours."""
        level_ = logging.DEBUG if detail == self._complaint else logging.WARNING
        self._complaint = detail
        log.log(level_, "%s", detail)
