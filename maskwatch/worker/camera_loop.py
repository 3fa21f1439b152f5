"""The worker's main thread: a camera's frames through the pipeline, and what follows from them."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from maskwatch.capture.reachability import ReachabilityWait
from maskwatch.clock import Clock
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import CameraState, CloseReason, Frame, LiveIds
from maskwatch.ipc.messages import Command, CommandResult, SnapshotTaken
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from maskwatch.worker.connection import CameraStatusUpdate, WorkerConnection
from maskwatch.worker.malloc_trim import MallocTrim
from maskwatch.worker.snapshot_request import SnapshotRequest

if TYPE_CHECKING:
    from maskwatch.analysis.pipeline import Pipeline
    from maskwatch.analysis.results import FrameResult
    from maskwatch.capture.camera import LiveCamera
    from maskwatch.capture.reconnect import ReconnectState

__all__ = ["CameraLoop"]

_log = logging.getLogger(__name__)

_TURN = 0.5
_LOADING = 60.0
_COUNTED_EVERY = 2.0
# A commit takes some 10 ms; frames must not wait longer for a disk that is slow today.
_PATIENCE = 0.25
_LAST_WORDS = 0.5
_CLOSING = 1.0


class CameraLoop:
    """Watches one camera until the link says stop.

    Args:
        config: what a worker may know.
        camera: whose frames these are.
        link: takes changes, heartbeats and counts; gives commands.
        clock: for all times.
        attempt: failures in a row of the worker that this one replaces.

    """

    def __init__(
        self, config: Config, camera: CameraConfig, link: WorkerConnection, clock: Clock, *, attempt: int
    ) -> None:
        self._config = config
        self._camera = camera
        self._link = link
        self._clock = clock
        self._attempt = attempt
        self._meter = Meter()
        self._labels = {"camera": camera.name}
        self._pipeline: Pipeline | None = None
        self._shutter = SnapshotRequest(camera)
        self._heap = MallocTrim(clock)
        self._counted_at = 0.0
        self._known = (CameraState.CONNECTING, "")
        self._since = clock.now()

    def run(self) -> None:
        """Watch until told to stop; then close what is open and hand it over.

        Raises:
            ModelError: the models cannot be used.

        """
        if self._wait_for_answer():
            source = self._connect()
            while not self._link.stopping.is_set():
                self._turn(source)
            self._end(source)
        self._link.close()

    # --- before the first frame ------------------------------------------------------------------

    def _wait_for_answer(self) -> bool:
        """Wait until somebody listens at the camera's address; return False when told to stop."""
        reachability = ReachabilityWait(
            self._camera, clock=self._clock, attempt=self._attempt, on_failure=self._disconnected
        )
        self._beat_machine(reachability.connection)
        while not self._link.stopping.is_set():
            answered = reachability.attempt_when_due(
                self._link.stopping.wait, lambda: self._beat_machine(reachability.connection)
            )
            if answered:
                return True
            self._serve()
        return False

    def _connect(self) -> LiveCamera:
        # FFmpeg, loaded now that there is something to decode; on a starved machine that takes its time.
        self._beat(CameraState.CONNECTING, "loading the decoder", self._loading_until, self._attempt)
        from maskwatch.capture.camera import LiveCamera  # noqa: PLC0415 - see above
        from maskwatch.telemetry.native_stderr import hear_libav  # noqa: PLC0415 - see above

        hear_libav(self._config.log.level)
        return LiveCamera(
            self._camera,
            fit=self._fit,
            clock=self._clock,
            on_disconnect=self._disconnected,  # the pause that is due was kept while knocking
        )

    @property
    def _loading_until(self) -> float:
        return self._clock.monotonic() + _LOADING

    def _fit(self, size: tuple[int, int]) -> tuple[int, int]:
        from maskwatch.vision.faces import analysis_size  # noqa: PLC0415 - needed with a picture

        return analysis_size(size, self._camera.smallest_face)

    def _load(self) -> Pipeline:
        """Load the models, now that there is a picture to look at."""
        self._beat(CameraState.CONNECTING, "loading the models", self._loading_until, 0)
        import cv2  # noqa: PLC0415 - heavy

        from maskwatch.analysis.build import build_pipeline  # noqa: PLC0415 - heavy

        cv2.setNumThreads(1)
        return build_pipeline(
            self._config, self._camera, ids=LiveIds(), meter=self._meter, clock=self._clock
        )

    # --- frame by frame --------------------------------------------------------------------------

    def _turn(self, source: LiveCamera) -> None:
        frame = source.read(_TURN)
        if frame is not None:
            self._take(frame)
        elif self._pipeline is not None:
            self._hand_over(self._pipeline.idle(self._clock.now(), self._clock.monotonic()))
        self._beat_source(source)
        self._serve(source)
        self._heap.tidy()

    def _take(self, frame: Frame) -> None:
        if self._pipeline is None:
            self._pipeline = self._load()
        self._hand_over(self._pipeline.process(frame))
        self._expose(self._pipeline, frame)
        self._link.processed(frame.captured_at)
        self._attempt = 0

    def _hand_over(self, outcome: FrameResult, patience: float = _PATIENCE) -> None:
        for change, picture in outcome.changes:
            ids = {"violation": str(change.violation.id), "alert": change.alert_id}
            _log.info("violation %s", change.kind, extra=ids)
            stored = self._link.record(change, picture, patience=patience)
            if patience and not stored:
                _log.warning("not stored yet, and kept until it is", extra=ids)
        for minute in outcome.minutes:
            self._link.minute(minute)

    def _end(self, source: LiveCamera) -> None:
        """Close what is open, and give the recorder the time that is left to take it."""
        deadline = self._clock.monotonic() + self._link.grace - _LAST_WORDS
        closing = threading.Thread(target=source.close, daemon=True)  # may hang in native code
        closing.start()
        if self._pipeline is not None:
            self._hand_over(
                self._pipeline.close(self._clock.now(), CloseReason.INTERRUPTED), patience=0.0
            )
        if not self._link.drain(max(0.0, deadline - self._clock.monotonic())):
            _log.error("ended before the recorder had acknowledged everything")
        closing.join(max(0.0, min(_CLOSING, deadline - self._clock.monotonic())))
        self._count(source)

    # --- what is said about it -------------------------------------------------------------------

    def _beat_source(self, source: LiveCamera) -> None:
        status = source.status
        leave_by = None if status.leave_by is None else self._clock.monotonic() + status.leave_by
        attempt = status.attempt + self._attempt
        self._link.pulse(
            CameraStatusUpdate(status.state, status.reason, status.since, leave_by, attempt)
        )
        self._meter.set(catalogue.BACKOFF_SECONDS, status.retry_in, self._labels)

    def _beat_machine(self, machine: ReconnectState) -> None:
        self._beat(machine.state, machine.reason, machine.leave_by, machine.attempt)
        left = max(0.0, machine.retry_at - self._clock.monotonic())
        self._meter.set(
            catalogue.BACKOFF_SECONDS,
            left if machine.state is CameraState.BACKOFF else 0.0,
            self._labels,
        )

    def _beat(self, state: CameraState, reason: str, leave_by: float | None, attempt: int) -> None:
        if (state, reason) != self._known:
            self._known, self._since = (state, reason), self._clock.now()
        self._link.pulse(CameraStatusUpdate(state, reason, self._since, leave_by, attempt))

    def _disconnected(self, reason: str) -> None:
        self._meter.add(catalogue.DISCONNECTS, {**self._labels, "reason": reason})

    def _serve(self, source: LiveCamera | None = None) -> None:
        """Obey commands, and let the link have the newest counts."""
        for command in self._link.commands():
            self._obey(command, source)
        late = self._shutter.overdue(self._clock.monotonic())
        if late is not None:
            self._link.answer(late)
        if self._clock.monotonic() - self._counted_at >= _COUNTED_EVERY:
            self._count(source)

    def _count(self, source: LiveCamera | None) -> None:
        self._counted_at = self._clock.monotonic()
        if source is not None:
            counts = source.counts
            fates = {
                "decoded": counts.decoded, "damaged": counts.damaged,
                "sampled": counts.sampled, "skipped": counts.skipped, "late": counts.late,
            }  # fmt: skip
            for fate, number in fates.items():
                self._meter.set(catalogue.FRAMES, number, {**self._labels, "fate": fate})
            self._meter.take(counts.decoding, self._labels)
        self._link.counted(self._meter.snapshot())

    # --- commands --------------------------------------------------------------------------------

    def _obey(self, command: Command, source: LiveCamera | None) -> None:
        if command.verb != "snapshot":
            detail = f"a camera's process knows no {command.verb!r}"
            self._link.answer(CommandResult(id=command.id, ok=False, detail=detail))
            return
        state, reason = self._known if source is None else (source.status.state, source.status.reason)
        refused = self._shutter.ask(command, state, reason, self._clock.monotonic())
        if refused is not None:
            self._link.answer(refused)

    def _expose(self, pipeline: Pipeline, frame: Frame) -> None:
        """Take the snapshot that somebody waits for."""
        command = self._shutter.take()
        if command is None:
            return
        jpeg = pipeline.snapshot(frame)
        if jpeg is None:
            detail = "the picture could not be made into a JPEG"
            self._link.answer(CommandResult(id=command.id, ok=False, detail=detail))
            return
        taken = SnapshotTaken(command=command.id, camera=self._camera.name, at=frame.captured_at)
        self._link.snapshot(taken, jpeg)
