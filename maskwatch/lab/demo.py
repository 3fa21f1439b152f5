"""The whole system on one machine: rendered cameras, the daemon, a broker, and a subscriber.

Nothing of the product is replaced: the daemon is `maskwatch run` in its own processes, the cameras
are RTSP with Digest authentication, and an independent subscriber receives the alerts.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from maskwatch.alerts.mqtt.topics import Topics
from maskwatch.config.schema import DecisionConfig
from maskwatch.domain import ChangeKind
from maskwatch.domain.camera import OVERLOADED_BELOW
from maskwatch.errors import DependencyError, MaskwatchError
from maskwatch.lab.broker import EmbeddedBroker, free_port, require_broker
from maskwatch.lab.evaluation.matching import (
    DueVisit,
    Matching,
    ReportedVisit,
    due_visits,
    match_reports,
)
from maskwatch.lab.evaluation.rules import expected_events
from maskwatch.lab.listener import Arrival, Listener
from maskwatch.lab.machine_speed import measured_stretch
from maskwatch.lab.rtsp import RtspServer
from maskwatch.lab.truth import Truth, truth_path
from maskwatch.telemetry import catalogue

_NODE = "demo"
_USER = "viewer"
_PASSWORD_VARIABLE = "MASKWATCH_DEMO_PASSWORD"  # noqa: S105 - the name of a variable
_FPS = 15.0
_RATE = 5.0
_START_TIMEOUT = 30.0
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_SIZE = (1280, 720)
FrameFates = dict[tuple[str, str], int]
"""A number of frames by camera and fate."""
# Seconds after the last person left, in which the daemon closes the last visit.
_CLOSING_TIME = 5.0


@dataclass(frozen=True, slots=True)
class Watched:
    """How many frames of a camera were due while its clip was played, and how many were analysed."""

    camera: str
    analysed: int
    due: int

    @property
    def enough(self) -> bool:
        """Whether a missed or repeated alert of this camera is not due to a slow machine."""
        return self.analysed >= OVERLOADED_BELOW * self.due


@dataclass(slots=True)
class DemoResult:
    """The results of a demo."""

    account: Matching
    watched: tuple[Watched, ...] = ()
    arrivals: list[Arrival] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    pictures: list[Path] = field(default_factory=list)
    exit_code: int = 0

    @property
    def too_slow(self) -> tuple[Watched, ...]:
        """The cameras of which the machine analysed too few frames to be judged."""
        return tuple(each for each in self.watched if not each.enough)


class Demo:
    """Runs in `folder`, whose clips are kept for the next run and whose data is replaced."""

    def __init__(
        self, folder: Path, log: Callable[[str], None], on_arrival: Callable[[Arrival], None]
    ) -> None:
        self.folder = folder
        self._print = log
        self._on_arrival = on_arrival
        self._password = secrets.token_urlsafe(12)
        self._metrics_port = free_port()
        self._stretch = 1.0

    @property
    def data(self) -> Path:
        """The daemon's data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The daemon's log file."""
        return self.folder / "daemon.log"

    def run(self) -> DemoResult:
        """Run the demo; raise MaskwatchError if a part does not start."""
        require_broker()  # before minutes of rendering
        clips = self._clips()
        self._measure(list(clips.values()))
        for old in (self.data, self.folder / "run"):
            shutil.rmtree(old, ignore_errors=True)
        with ExitStack() as stack:
            server = stack.enter_context(RtspServer(users={_USER: self._password}))
            for name, clip in clips.items():
                server.add(name, clip, loop=False, start="manual", hold_last=True, stretch=self._stretch)
            broker = stack.enter_context(EmbeddedBroker())
            listener = stack.enter_context(
                Listener("127.0.0.1", broker.port, Topics("maskwatch", _NODE))
            )
            self._print(f"Broker on port {broker.port}; cameras on rtsp://{server.host}:{server.port}")
            config = self._write_config(server, list(clips), broker.port)
            result = DemoResult(Matching((), (), ()))
            with self._daemon(config, result) as process:
                self._wait_live(server, list(clips), process)
                before = self._frames()
                due = self._play(server, clips)
                self._collect(listener, due, result)
                result.metrics = self._scrape()
                result.watched = watched(before, self._frames())
        reports = [
            ReportedVisit(a.alert.camera, str(a.alert.id), a.alert.at)
            for a in result.arrivals
            if a.alert.change is ChangeKind.OPENED
        ]
        result.account = match_reports(due, reports)
        result.pictures = sorted(self.data.glob("pictures/**/*.jpg"))
        return result

    # -- before ------------------------------------------------------------------------------

    def _clips(self) -> dict[str, Path]:
        try:
            from maskwatch.lab.scenes import DEMO  # noqa: PLC0415 - needs the extra
        except ImportError as error:
            raise DependencyError("the demo needs: pip install 'maskwatch[demo]'") from error
        folder = self.folder / "clips"
        folder.mkdir(parents=True, exist_ok=True)
        clips = {name: folder / f"{name}.mp4" for name in DEMO}
        missing = [i for i, clip in enumerate(clips.values()) if not truth_path(clip).exists()]
        if missing:
            self._print(f"Rendering {len(missing)} scenes of people (kept for next time) ...")
            with ProcessPoolExecutor(min(len(missing), os.cpu_count() or 1)) as pool:
                list(pool.map(_render, missing, [folder] * len(missing)))
        return clips

    def _measure(self, clips: list[Path]) -> None:
        """Measure what this machine can do now, and play slower if that is too little."""
        self._print("Measuring this machine ...")
        self._stretch = measured_stretch(clips)
        if self._stretch > 1:
            self._print(
                f"It is too slow or too busy for {len(clips)} such cameras: the clips are played "
                f"{self._stretch:.1f} times slower."
            )

    def _write_config(self, server: RtspServer, cameras: list[str], mqtt_port: int) -> Path:
        usual = DecisionConfig()
        durations = ("correlation_time", "reassociate", "cooldown", "still_after")
        decision = ", ".join(f"{key}: {getattr(usual, key) * self._stretch:.2f}" for key in durations)
        rows = "".join(
            f"  - name: {name}\n"
            f"    url: rtsp://{server.host}:{server.port}/{name}\n"
            f"    username: {_USER}\n"
            f"    password: ${{{_PASSWORD_VARIABLE}}}\n"
            f"    rate: {_RATE / self._stretch:.2f}\n"
            f"    decision: {{{decision}}}\n"
            for name in cameras
        )
        path = self.folder / "config.yaml"
        path.write_text(
            "# Written by `maskwatch demo`; config.example.yaml explains every key.\n"
            f"node: {_NODE}\n"
            f"data_dir: {self.data}\n"
            f"runtime_dir: {self.folder / 'run'}\n"
            f"mqtt: {{host: 127.0.0.1, port: {mqtt_port}, version: 3.1.1}}\n"
            f"metrics: {{port: {self._metrics_port}}}\n"
            "store: {reserve_megabytes: 4}\n"
            f"cameras:\n{rows}",
            encoding="utf-8",
        )
        return path

    # -- during ------------------------------------------------------------------------------

    @contextmanager
    def _daemon(self, config: Path, result: DemoResult) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "maskwatch", "run", "--config", str(config)]
        environment = {**os.environ, _PASSWORD_VARIABLE: self._password}
        with self.log.open("wb") as log:
            process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                result.exit_code = process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                result.exit_code = process.wait()

    def _wait_live(self, server: RtspServer, names: list[str], process: subprocess.Popen[bytes]) -> None:
        self._print("Starting the daemon ...")
        timeout = _START_TIMEOUT * self._stretch
        deadline = time.monotonic() + timeout
        while not self._ready() or any(server.counts(name).playing < 1 for name in names):
            if process.poll() is not None:
                raise MaskwatchError(
                    f"the daemon ended with exit code {process.returncode}; the end of its log:\n"
                    + self._log_tail()
                )
            if time.monotonic() > deadline:
                raise MaskwatchError(
                    f"the daemon was not ready within {timeout:.0f} s; its log is {self.log}:\n"
                    + self._log_tail()
                )
            time.sleep(0.1)

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(self._url("readyz"), timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def _play(self, server: RtspServer, clips: dict[str, Path]) -> list[DueVisit]:
        due: list[DueVisit] = []
        truths = {name: Truth.load(truth_path(clip)) for name, clip in clips.items()}
        for name, truth in truths.items():
            started = server.play(name, after=0.5)
            due += due_visits(name, expected_events(truth), started.wall, self._stretch)
        longest = max(truth.seconds for truth in truths.values()) * self._stretch
        self._print(
            f"{len(clips)} cameras live, playing {longest:.0f} s; metrics at {self._url('metrics')}\n"
        )
        self._ends = time.monotonic() + 0.5 + longest + _CLOSING_TIME * self._stretch
        return due

    def _collect(self, listener: Listener, due: list[DueVisit], result: DemoResult) -> None:
        """Collect alerts until every clip has ended, or every reported visit has been closed."""
        open_ids: set[str] = set()
        closing = _CLOSING_TIME * self._stretch
        last = max((visit.ends for visit in due), default=datetime.now(UTC))
        while time.monotonic() < self._ends:
            arrival = listener.next(0.2)
            if arrival is not None:
                result.arrivals.append(arrival)
                self._on_arrival(arrival)
                change = open_ids.discard if arrival.alert.change is ChangeKind.CLOSED else open_ids.add
                change(str(arrival.alert.id))
            elif not open_ids and (datetime.now(UTC) - last).total_seconds() > closing:
                break

    # -- after -------------------------------------------------------------------------------

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._metrics_port}/{path}"

    def _scrape(self) -> dict[str, float]:
        """Return the metrics summed over cameras, as `name`, or `name fate` where labelled so."""
        sums: defaultdict[str, float] = defaultdict(float)
        for name, labels, value in self._series():
            sums[f"{name} {labels['fate']}" if "fate" in labels else name] += value
        return dict(sums)

    def _frames(self) -> FrameFates:
        """Return the cumulative number of frames by camera and fate."""
        return {
            (labels["camera"], labels["fate"]): round(value)
            for name, labels, value in self._series()
            if name == catalogue.FRAMES
        }

    def _series(self) -> list[tuple[str, dict[str, str], float]]:
        """Return the name, labels and value of every series that the daemon serves."""
        try:
            with urllib.request.urlopen(self._url("metrics"), timeout=5) as response:
                lines = response.read().decode().splitlines()
        except urllib.error.URLError as error:
            raise MaskwatchError(f"{self._url('metrics')} does not answer: {error.reason}") from error
        rows = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return [
            (series.partition("{")[0], dict(_LABEL.findall(series)), float(value))
            for series, _, value in rows
        ]


def watched(before: FrameFates, after: FrameFates) -> tuple[Watched, ...]:
    """Return for each camera what was analysed between two readings, of what was due."""
    passed = {key: count - before.get(key, 0) for key, count in after.items()}

    def total(camera: str, *fates: str) -> int:
        return sum(passed.get((camera, fate), 0) for fate in fates)

    return tuple(
        Watched(
            camera,
            total(camera, "analysed", "gated"),
            total(camera, "analysed", "gated", "skipped", "missed"),
        )
        for camera in sorted({camera for camera, _ in after})
    )


def _render(number: int, folder: Path) -> None:
    from maskwatch.lab.scenes import default_heads, demo_scenes, render  # noqa: PLC0415 - the extra

    scene = demo_scenes()[number]
    target = folder / f"{scene.name}.mp4"
    render(scene, target, size=_SIZE, fps=_FPS, faces=default_heads())
