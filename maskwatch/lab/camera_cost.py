"""Measures what watching one camera costs on this machine: processor time and memory.

The same work as a worker does (capture, health, motion gate, faces, tracks, masks, evidence, policy) is
measured beside a loop that only decodes the clip: in a process of its own, on one core, with one
thread each, warmed and interleaved. Processor time counts, not wall time.
"""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from maskwatch.config.schema import CameraConfig, Config, FaceSearch
from maskwatch.domain import LiveIds
from maskwatch.errors import SourceGarbageError
from maskwatch.secrets import SecretUrl

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# For peaks, and for the other processes of the daemon.
_USABLE = 2 / 3


@dataclass(frozen=True, slots=True)
class Workload:
    """A clip, and how it is watched: frames per second to analyse, the smallest face in its pixels.

    `face_search` is the camera's setting. Of the clip, at most `seconds` are used, `rounds` times.
    `beside` names other pipelines to measure.
    """

    clip: str
    rate: float = 5.0
    smallest_face: int = 32
    face_search: FaceSearch = FaceSearch.WHOLE
    seconds: float = math.inf
    rounds: int = 3
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What one camera costs.

    Attributes:
        decode, watch: processor seconds for each second of video: decoding alone, and all work.
        ratio, lowest, highest: of `watch` to `decode`, the median and the extremes of the rounds.
        memory: the most resident memory of the process while it watched, in MiB.
        beside: the median ratio of each other pipeline to `decode`, by its name.
    """

    decode: float
    watch: float
    ratio: float
    lowest: float
    highest: float
    memory: float
    beside: dict[str, float]

    def cameras(self, cores: float, memory: float) -> int:
        """Return how many such cameras fit; a third of the processor and memory (MiB) stays free."""
        by_processor = _USABLE * cores / max(self.watch, 1e-6)
        return int(min(by_processor, _USABLE * memory / self.memory))


def measure(workload: Workload) -> Cost:
    """Measure in a process of its own.

    Raises:
        SourceError: the clip is no video, or too short.
    """
    command = [sys.executable, "-m", "maskwatch.lab.camera_cost", json.dumps(asdict(workload))]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise SourceGarbageError(lines[-1] if lines else f"{workload.clip}: it could not be measured")
    return Cost(**json.loads(done.stdout))


def measure_here(workload: Workload) -> Cost:
    """Measure in this process, on one core from now on."""
    import cv2  # noqa: PLC0415 - heavy, as the next

    from maskwatch.lab import other_pipelines  # noqa: PLC0415 - heavy

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    _, memory = _watch(workload)  # before another pipeline loads its libraries
    _decode(workload)
    pairs: list[tuple[float, float]] = []
    others: dict[str, list[float]] = {way: [] for way in workload.beside}
    for _ in range(workload.rounds):
        decoding, video = _decode(workload)
        watching, _ = _watch(workload)
        pairs.append((decoding / video, watching / video))
        for way, found in others.items():
            other = other_pipelines.watch(way, workload.clip, workload.rate, workload.seconds)
            found.append(other / decoding)
    ratios = sorted(watch / decode for decode, watch in pairs)
    return Cost(
        decode=statistics.median(decode for decode, _ in pairs),
        watch=statistics.median(watch for _, watch in pairs),
        ratio=statistics.median(ratios),
        lowest=ratios[0],
        highest=ratios[-1],
        memory=memory,
        beside={way: statistics.median(found) for way, found in others.items()},
    )


def _decode(workload: Workload) -> tuple[float, float]:
    """Decode without analysis; return the seconds of processor time and of video."""
    import av  # noqa: PLC0415 - heavy, as the next

    from maskwatch.capture.container import MAX_PIXELS, open_file  # noqa: PLC0415 - heavy

    began = time.process_time()
    pictures, first, last = 0, 0.0, 0.0
    container, stream = open_file(workload.clip, MAX_PIXELS, -1)
    with container:
        for packet in container.demux(stream):
            videos: list[av.VideoFrame] = []
            with suppress(av.FFmpegError, ValueError):  # damaged packets are skipped, as by a worker
                videos = packet.decode()
            for video in videos:
                moment = float(video.time or 0.0)
                first = moment if not pictures else first
                pictures, last = pictures + 1, max(last, moment)
            if last - first >= workload.seconds:
                break
    spent = time.process_time() - began
    if last - first < 1.0:
        raise SourceGarbageError(f"{workload.clip}: less than a second of video, too short to measure")
    return spent, (last - first) * pictures / (pictures - 1)


def _watch(workload: Workload) -> tuple[float, float]:
    """Watch as a worker does; return the processor seconds, and the most memory in MiB.

    The seconds are without the loading of the models.
    """
    from maskwatch.analysis.build import build_pipeline  # noqa: PLC0415 - heavy
    from maskwatch.capture.file import FileSource  # noqa: PLC0415 - heavy
    from maskwatch.capture.health import HealthMonitor  # noqa: PLC0415 - heavy
    from maskwatch.telemetry.meter import Meter  # noqa: PLC0415 - with the others
    from maskwatch.vision.faces import analysis_size  # noqa: PLC0415 - heavy

    url = SecretUrl("rtsp://127.0.0.1/bench")
    face = workload.smallest_face
    camera = CameraConfig(
        name="bench",
        url=url,
        rate=workload.rate,
        smallest_face=face,
        face_search=FaceSearch(workload.face_search),
    )
    pipeline = build_pipeline(Config(cameras=(camera,)), camera, ids=LiveIds(), meter=Meter())
    health = HealthMonitor()
    memory = 0.0
    began = time.process_time()
    fit = partial(analysis_size, smallest_face=face)
    with FileSource(workload.clip, rate=workload.rate, fit=fit) as source:
        for frame in source:
            health.observe(frame.luma, frame.moment)
            if frame.moment >= workload.seconds:
                break
            pipeline.process(frame)
            memory = max(memory, _resident())
    return time.process_time() - began, memory


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES / 2**20


def main(arguments: list[str]) -> int:
    """Measure the workload given as JSON, and print its cost as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the parent ends this process
    fields = json.loads(arguments[0])
    try:
        cost = measure_here(Workload(**fields))
    except Exception as error:  # noqa: BLE001 - a process's entry point: the parent reports it
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(asdict(cost)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
