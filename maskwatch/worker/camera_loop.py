"""The worker's main thread: a camera's frames through the pipeline, and what follows from them."""

from __future__ import annotations

import logging
import math
import socket
import threading
from typing import TYPE_CHECKING

from maskwatch.capture.reachability import ReachabilityWait
from maskwatch.capture.reconnect import ReconnectDelays
from maskwatch.clock import Clock
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import Frame, LiveIds
from maskwatch.ipc.messages import Command, SnapshotTaken
from maskwatch.worker.camera_reporter import CameraReporter
from maskwatch.worker.connection import WorkerConnection
from maskwatch.worker.malloc_trim import MallocTrim
from maskwatch.worker.snapshot_request import SnapshotRequest, refusal

if TYPE_CHECKING:
    from maskwatch.analysis.pipeline import Pipeline
    from maskwatch.analysis.results import FrameResult
    from maskwatch.capture.camera import LiveCamera

_log = logging.getLogger(__name__)

_READ_TIMEOUT_S = 0.5
# A commit takes some 10 ms; a slow disk must not delay frames for longer than this.
_RECORD_TIMEOUT_S = 0.25
_REPORT_RESERVE_S = 0.5
_CLOSE_TIMEOUT_S = 1.0


class CameraLoop:
    """Watches one camera until the supervisor sends `Stop`.

    `attempt` counts the failures in a row of the worker that this one replaces.
    """

    def __init__(
        self,
        config: Config,
        camera: CameraConfig,
        connection: WorkerConnection,
        clock: Clock,
        *,
        attempt: int,
        delays: ReconnectDelays | None = None,
        listener: socket.socket | None = None,
        processor_share: float = math.inf,
    ) -> None:
        self._config = config
        self._camera = camera
        self._connection = connection
        self._clock = clock
        self._attempt = attempt
        self._delays = delays
        self._listener = listener
        self._processor_share = processor_share
        self._reporter = CameraReporter(camera, connection.status, clock)
        self._pipeline: Pipeline | None = None
        self._snapshot_request = SnapshotRequest(camera)
        self._malloc_trim = MallocTrim(clock)

    def run(self) -> None:
        """Watch until stopped; then close what is open and hand it over.

        Raises:
            ModelError: the models cannot be used.
        """
        if self._wait_until_reachable():
            source = self._connect()
            while not self._connection.stopping.is_set():
                self._turn(source)
            self._end(source)
        self._connection.close()

    # --- before the first frame ------------------------------------------------------------------

    def _wait_until_reachable(self) -> bool:
        """Wait until the camera's address accepts connections; return False when stopped."""
        wait = ReachabilityWait(
            self._camera,
            clock=self._clock,
            attempt=self._attempt,
            on_failure=self._reporter.count_disconnect,
            delays=self._delays,
        )

        def report() -> None:
            self._reporter.report_waiting(wait.connection)

        report()
        while not self._connection.stopping.is_set():
            if wait.attempt_when_due(self._connection.stopping.wait, report):
                return True
            self._serve()
        return False

    def _connect(self) -> LiveCamera:
        self._reporter.report_loading("the decoder", self._attempt)
        # FFmpeg, loaded now that there is something to decode.
        from maskwatch.capture.camera import LiveCamera, stream_options  # noqa: PLC0415 - see above
        from maskwatch.telemetry.native_stderr import enable_libav_log  # noqa: PLC0415 - see above

        enable_libav_log(self._config.log.level)
        return LiveCamera(
            self._camera,
            fit=self._fit,
            clock=self._clock,
            delays=self._delays,  # attempt 0: the wait that was due is over
            on_disconnect=self._reporter.count_disconnect,
            options=stream_options(self._camera, self._listener, self._processor_share),
        )

    def _fit(self, size: tuple[int, int]) -> tuple[int, int]:
        from maskwatch.vision.faces import analysis_size  # noqa: PLC0415 - needed with a picture

        return analysis_size(size, self._camera.smallest_face)

    def _load_pipeline(self) -> Pipeline:
        """Load the models, now that there is a picture to analyse."""
        self._reporter.report_loading("the models", 0)
        import cv2  # noqa: PLC0415 - heavy

        from maskwatch.analysis.build import build_pipeline  # noqa: PLC0415 - heavy

        cv2.setNumThreads(1)
        return build_pipeline(
            self._config, self._camera, ids=LiveIds(), meter=self._reporter.meter, clock=self._clock
        )

    # --- frame by frame --------------------------------------------------------------------------

    def _turn(self, source: LiveCamera) -> None:
        if self._connection.rate is not None:
            source.rate = self._connection.rate
        frame = source.read(_READ_TIMEOUT_S)
        if frame is not None:
            self._process(frame)
        elif self._pipeline is not None:
            self._hand_over(self._pipeline.idle(self._clock.now(), self._clock.monotonic()))
        self._reporter.report_source(source.status, source.counts, source.rate, self._attempt)
        self._serve(source)
        self._malloc_trim.trim_when_due()

    def _process(self, frame: Frame) -> None:
        if self._pipeline is None:
            self._pipeline = self._load_pipeline()
        self._hand_over(self._pipeline.process(frame))
        self._take_snapshot(self._pipeline, frame)
        self._reporter.frame_processed(frame.captured_at)
        self._attempt = 0

    def _hand_over(self, result: FrameResult, timeout: float = _RECORD_TIMEOUT_S) -> None:
        """Give the recorder what a frame led to."""
        for change, picture in result.changes:
            ids = {"violation": str(change.violation.id), "alert": change.alert_id}
            _log.info("violation %s", change.kind, extra=ids)
            stored = self._connection.recorder.record(change, picture, timeout=timeout)
            if timeout and not stored:
                _log.warning("not stored yet; kept and sent again until it is", extra=ids)
        for minute in result.minutes:
            self._connection.recorder.add_minute(minute)

    def _end(self, source: LiveCamera) -> None:
        """Close what is open, and give the recorder the time that is left to store it."""
        deadline = self._clock.monotonic() + self._connection.grace - _REPORT_RESERVE_S
        closing = threading.Thread(target=source.close, daemon=True)  # may hang in native code
        closing.start()
        if self._pipeline is not None:
            self._hand_over(self._pipeline.close(self._clock.now()), timeout=0.0)
        if not self._connection.recorder.drain(max(0.0, deadline - self._clock.monotonic())):
            _log.error("ended before the recorder had acknowledged every change")
        closing.join(max(0.0, min(_CLOSE_TIMEOUT_S, deadline - self._clock.monotonic())))
        self._reporter.report_metrics(source.counts)

    # --- commands and metrics --------------------------------------------------------------------

    def _serve(self, source: LiveCamera | None = None) -> None:
        """Run the commands that arrived, and report metrics when that is due."""
        for command in self._connection.commands():
            self._run_command(command)
        expired = self._snapshot_request.expire(self._clock.monotonic())
        if expired is not None:
            self._connection.answer(expired)
        self._reporter.report_metrics_when_due(None if source is None else source.counts)

    def _run_command(self, command: Command) -> None:
        if command.verb != "snapshot":
            self._connection.answer(refusal(command, f"a worker has no command {command.verb!r}"))
            return
        status = self._reporter.status
        refused = self._snapshot_request.request(
            command, status.state, status.reason, self._clock.monotonic()
        )
        if refused is not None:
            self._connection.answer(refused)

    def _take_snapshot(self, pipeline: Pipeline, frame: Frame) -> None:
        command = self._snapshot_request.take()
        if command is None:
            return
        jpeg = pipeline.snapshot(frame)
        if jpeg is None:
            self._connection.answer(refusal(command, "the picture could not be encoded as a JPEG"))
            return
        taken = SnapshotTaken(command=command.id, camera=self._camera.name, at=frame.captured_at)
        self._connection.recorder.add_snapshot(taken, jpeg)
