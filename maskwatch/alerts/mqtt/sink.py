"""The sink that publishes to an MQTT broker: one session after another, with backoff between them.

The recorder's thread only enqueues; everything else happens in the sink's own thread, so that a broker
that hangs delays nothing else. The outbox is the only queue: a delivery without an acknowledgement
when its session ends has failed, and comes again from the outbox. Only the connection is retried here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from maskwatch.alerts.mqtt.connection import MqttConnection
from maskwatch.alerts.mqtt.messages import OFFLINE, MessageBuilder
from maskwatch.alerts.mqtt.owner import Ownership
from maskwatch.alerts.mqtt.published import FILE_NAME, PublishedTopics
from maskwatch.alerts.mqtt.session import MqttSession
from maskwatch.alerts.mqtt.state import StatePublisher
from maskwatch.alerts.mqtt.topics import Topics, encode_level
from maskwatch.alerts.sink import (
    Delivery,
    DeliveryOutcome,
    DeliveryStatus,
    Report,
    StateSnapshot,
    StateUpdate,
)
from maskwatch.backoff import Backoff, RetryTimer
from maskwatch.config.addresses import bracketed
from maskwatch.config.partial import MQTT_SINK
from maskwatch.config.schema import Config
from maskwatch.errors import MaskwatchError
from maskwatch.ipc.loop import Wakeup
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.secrets import redact

log = logging.getLogger(__name__)

_BACKOFF = Backoff(first=1.0, cap=60.0)
# The part of the time to stop that a session may use; the rest is for the thread to end.
_CLOSE_FRACTION = 0.8


class _Refresh:
    """A job: publish again what is open, and the snoozes."""


_Job = Delivery | StateUpdate | _Refresh


class MqttSink:
    """Implements `maskwatch.alerts.sink.Sink`; `backoff` bounds the waits between connections."""

    name = MQTT_SINK
    paused = False
    unacknowledged_for = 0.0

    def __init__(self, config: Config, *, backoff: Backoff = _BACKOFF) -> None:
        self.window = config.mqtt.window
        self._config = config
        self._builder = MessageBuilder(Topics(config.mqtt.topic_prefix, config.node), config.node)
        self._retry = RetryTimer(backoff)
        self._published = PublishedTopics(
            Path(config.data_dir) / FILE_NAME,
            f"{bracketed(config.mqtt.host)}:{config.mqtt.port}",
            self._builder.topics.root,
            uuid4().hex,
        )
        self._client_id = f"maskwatch-{encode_level(config.node)}"
        # Another daemon of this node waits for up to `cap` before it connects again.
        self._ownership = Ownership(
            self._builder, self._published, self._client_id, settled_after=2 * backoff.cap
        )
        self._jobs: deque[_Job] = deque()
        self._wakeup = Wakeup()
        self._stop_at: float | None = None
        self._ready = False
        self._last_error = ""
        self._thread: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        """Whether a session is connected, and has verified that publishing works."""
        return self._ready

    @property
    def reason(self) -> str:
        """Why it is not ready, or who else uses its node; "" if all is well."""
        return self._ownership.conflict or ("" if self._ready else self._last_error)

    # --- called by the recorder ---------------------------------------------------------------------

    def start(
        self,
        report: Report,
        current_state: Callable[[], StateSnapshot],
        run_command: Callable[[Command], None],
    ) -> None:
        self._report = report
        state = StatePublisher(
            self._config, self._builder, self._published, self._ownership, current_state, run_command
        )
        self._thread = threading.Thread(target=self._run, args=(state,), name="mqtt", daemon=True)
        self._thread.start()

    def send(self, delivery: Delivery) -> None:
        self._enqueue(delivery)

    def publish(self, update: StateUpdate) -> None:
        self._enqueue(update)

    def state_changed(self) -> None:
        self._enqueue(_Refresh())

    def stop(self, timeout: float) -> None:
        self._stop_at = time.monotonic() + timeout * _CLOSE_FRACTION
        self._wakeup.wake()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                log.warning("mqtt: the connection was not closed in time; it ends with the process")
                return
        self._wakeup.close()

    def _enqueue(self, job: _Job) -> None:
        self._jobs.append(job)
        self._wakeup.wake()

    # --- the sink's own thread ----------------------------------------------------------------------

    def _run(self, state: StatePublisher) -> None:
        while self._stop_at is None:
            if self._run_session(state):
                self._retry.succeeded()
            self._wait(state, self._retry.failed(time.monotonic()))
        self._fail_jobs(state, "the sink has stopped")

    def _run_session(self, state: StatePublisher) -> bool:
        """Run one session to its end; return whether the next may follow soon.

        Two daemons that replace each other make longer pauses, so that each can deliver between them.
        """
        session: MqttSession | None = None
        detail = "the sink has stopped"
        will = self._builder.availability(OFFLINE)
        connection = MqttConnection(self._config.mqtt, self._client_id, will)
        try:
            connection.open(self._config.mqtt.ack_timeout)
            session = MqttSession(
                connection, self._config.mqtt, self._builder, self._published, self._report
            )
            state.begin()
            session.begin(state.subscriptions)
            state.publish_all(session)
            self._last_error = ""
            log.info("broker %s: connected, publishing works", connection.address)
            self._ready = True
            self._work(session, state)
        except MaskwatchError as error:
            detail = redact(str(error))
            self._log_once(detail)
        except Exception:  # the thread's entry point: a thread that ended would never deliver again.
            # On a malformed packet paho raises anything: struct.error, IndexError, ...
            detail = "an internal error"
            log.exception("broker %s: the session ended by %s", connection.address, detail)
        finally:
            was_ready, self._ready = self._ready, False
            self._ownership.end(connection.ending, time.monotonic())
            connection.abort()
            if session is not None:
                session.fail_pending(detail)
            self._fail_jobs(state, detail)
        return was_ready and not self._ownership.contested

    def _work(self, session: MqttSession, state: StatePublisher) -> None:
        while self._stop_at is None:
            self._process_jobs(session, state)
            for message in session.poll(state.seconds_until_due(), self._wakeup):
                state.handle(session, message)
            state.run_due(session)
            self._wakeup.clear()
        self._process_jobs(session, state)
        session.close(state.last_message, self._stop_at)

    def _process_jobs(self, session: MqttSession, state: StatePublisher) -> None:
        while self._jobs:
            match self._jobs.popleft():
                case Delivery() as delivery:
                    session.deliver(delivery)
                    state.schedule_refresh()
                case CommandResult() as result:
                    state.answer(result)
                case _Refresh():
                    state.schedule_refresh()
                case change:
                    state.remember(change)
                    state.publish(session, change)
        state.send_answers(session)

    def _fail_jobs(self, state: StatePublisher, detail: str) -> None:
        """Fail the deliveries that no session took; the next session publishes the state."""
        while self._jobs:
            match self._jobs.popleft():
                case Delivery() as delivery:
                    self._report(DeliveryOutcome(delivery.id, DeliveryStatus.FAILED, detail))
                case CommandResult() as result:
                    state.answer(result)
                case _Refresh():
                    continue
                case change:
                    state.remember(change)

    def _wait(self, state: StatePublisher, seconds: float) -> None:
        """Wait before the next session; deliveries that arrive meanwhile fail immediately."""
        until = time.monotonic() + seconds
        while self._stop_at is None and (left := until - time.monotonic()) > 0:
            self._wakeup.wait(left)
            self._fail_jobs(state, self._last_error or "not connected")

    def _log_once(self, error: str) -> None:
        """Log an error as a warning once until it changes: the broker may be away for hours."""
        known = error == self._last_error or self._ownership.conflict
        log.log(logging.DEBUG if known else logging.WARNING, "%s", error)
        self._last_error = error
