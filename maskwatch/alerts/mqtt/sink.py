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

from maskwatch.alerts.mqtt.connection import MqttConnection
from maskwatch.alerts.mqtt.messages import OFFLINE, MessageBuilder
from maskwatch.alerts.mqtt.session import MqttSession
from maskwatch.alerts.mqtt.state import Shown, StatePublisher
from maskwatch.alerts.mqtt.topics import Topics, level
from maskwatch.alerts.sink import (
    CameraSnapshot,
    Delivery,
    DeliveryOutcome,
    DeliveryStatus,
    Report,
    StateSnapshot,
)
from maskwatch.config.schema import Config
from maskwatch.domain import CameraStatus, OccupancyMinute
from maskwatch.errors import MaskwatchError
from maskwatch.ipc.loop import Wakeup
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.secrets import redact

__all__ = ["MqttSink"]

log = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


class _StandingChanged:
    """What is open, or who is snoozed, changed."""


_Job = Delivery | Shown | CommandResult | _StandingChanged


class MqttSink:
    """Implements `maskwatch.alerts.sink.Sink`.

    `longest_pause` is the most seconds between two attempts to connect.
    """

    name = "mqtt"
    paused = False

    def __init__(self, config: Config, *, longest_pause: float = _LONGEST_PAUSE) -> None:
        self._config = config
        self._composer = MessageBuilder(Topics(config.mqtt.topic_prefix, config.node), config.node)
        self._longest_pause = longest_pause
        self._jobs: deque[_Job] = deque()
        self._bell = Wakeup()
        self._stop_at: float | None = None
        self._ready = False
        self._complaint = ""
        self._thread: threading.Thread | None = None

    @property
    def window(self) -> int:
        """How many deliveries may be without an outcome."""
        return self._config.mqtt.window

    @property
    def ready(self) -> bool:
        """Whether a session stands whose canary came back."""
        return self._ready

    # --- called by the recorder ---------------------------------------------------------------------

    def start(
        self,
        report: Report,
        standing: Callable[[], StateSnapshot],
        command: Callable[[Command], None],
    ) -> None:
        """Connect in the background, and again whenever the connection is lost."""
        self._report = report
        presence = StatePublisher(self._config, self._composer, standing, command)
        self._thread = threading.Thread(target=self._run, args=(presence,), name="mqtt", daemon=True)
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

    def state_changed(self) -> None:
        """Bring the lists of what is open, and the snoozes, up to date."""
        self._enqueue(_StandingChanged())

    def snapshot_taken(self, snapshot: CameraSnapshot) -> None:
        """Show a snapshot; the answer to its command comes after it."""
        self._enqueue(snapshot)

    def command_done(self, result: CommandResult) -> None:
        """Answer a command that came through this sink."""
        self._enqueue(result)

    def stop(self, timeout: float) -> None:
        """Wait for what is in flight, say goodbye and end, within `timeout` seconds."""
        self._stop_at = time.monotonic() + timeout * 0.8
        self._bell.wake()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                log.warning("mqtt: the connection did not end in time; it ends with the process")
                return
        self._bell.close()

    def _enqueue(self, job: _Job) -> None:
        self._jobs.append(job)
        self._bell.wake()

    # --- our own thread -----------------------------------------------------------------------------

    def _run(self, presence: StatePublisher) -> None:
        pause = _FIRST_PAUSE
        while self._stop_at is None:
            if self._session(presence):
                pause = _FIRST_PAUSE
            self._wait(presence, random.uniform(0, pause))  # noqa: S311 - spreads clients, guards nothing
            pause = min(pause * 2, self._longest_pause)
        self._refuse_jobs(presence, "the sink has ended")

    def _session(self, presence: StatePublisher) -> bool:
        """Run one session to its end; return whether it got as far as to deliver."""
        session: MqttSession | None = None
        detail = "the sink has ended"
        will = self._composer.availability(OFFLINE)
        link = MqttConnection(self._config.mqtt, f"maskwatch-{level(self._config.node)}", will)
        try:
            link.open(self._config.mqtt.ack_timeout)
            session = MqttSession(link, self._config.mqtt, self._composer, self._report)
            session.begin(presence.subscriptions)
            presence.restate(session)
            self._complaint = ""
            log.info("broker %s: connected, publishing works", link.where)
            self._ready = True
            self._work(session, presence)
        except MaskwatchError as error:
            detail = redact(str(error))
            self._complain(detail)
        except Exception:  # the thread's entry point, so everything:
            # were it to die of a fault of ours, the process would live on and no alert would go out
            # again. The fault is logged with its trace.
            detail = "a fault of maskwatch's own"
            log.exception("broker %s: the session ended by %s", link.where, detail)
        finally:
            worked, self._ready = self._ready, False
            link.drop()
            if session is not None:
                session.fail(detail)
            self._refuse_jobs(presence, detail)
        return worked

    def _work(self, session: MqttSession, presence: StatePublisher) -> None:
        while self._stop_at is None:
            self._hand_over(session, presence)
            for message in session.turn(presence.due(), self._bell):
                presence.hear(session, message)
            presence.tick(session)
            self._bell.wait(0)
        self._hand_over(session, presence)
        session.part(self._stop_at)

    def _hand_over(self, session: MqttSession, presence: StatePublisher) -> None:
        while self._jobs:
            match self._jobs.popleft():
                case Delivery() as delivery:
                    session.deliver(delivery)
                    presence.outdated()
                case CommandResult() as result:
                    presence.answer(session, result)
                case _StandingChanged():
                    presence.outdated()
                case changed:
                    presence.remember(changed)
                    presence.show(session, changed)

    def _refuse_jobs(self, presence: StatePublisher, detail: str) -> None:
        """Fail the deliveries that no session took; state comes again with the next session."""
        while self._jobs:
            match self._jobs.popleft():
                case Delivery() as delivery:
                    self._report(DeliveryOutcome(delivery.id, DeliveryStatus.FAILED, detail))
                case CommandResult() as result:
                    presence.keep_answer(result)
                case _StandingChanged():
                    continue
                case changed:
                    presence.remember(changed)

    def _wait(self, presence: StatePublisher, seconds: float) -> None:
        """Pause; deliveries that come meanwhile fail at once."""
        until = time.monotonic() + seconds
        while self._stop_at is None and (left := until - time.monotonic()) > 0:
            self._bell.wait(left)
            self._refuse_jobs(presence, self._complaint or "not connected")

    def _complain(self, detail: str) -> None:
        """Log a reason once until it changes: the broker may be away for hours."""
        level_ = logging.DEBUG if detail == self._complaint else logging.WARNING
        self._complaint = detail
        log.log(level_, "%s", detail)
