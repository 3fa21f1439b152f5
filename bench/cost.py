"""Measures the processor time of watching one camera, as a ratio to decoding alone.

    python -m bench.cost [--rounds 5] [--rate 5] [--smallest-face 32] [--height 1080] [--json]

For clips with 0, 1 and 5 people in view all the time (25 frames a second of H.264, see bench/clips.py),
the same work as a worker does per camera (capture, motion gate, faces, tracks, masks, evidence, policy)
is measured beside a loop that only decodes the clip: same process, one core, one thread each, warmed,
interleaved. Processor time, not wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from functools import partial
from pathlib import Path

import av
import cv2

from bench.clips import SECONDS, crowd_clip
from maskwatch.analysis.build import build_pipeline
from maskwatch.capture.file import FileSource
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import LiveIds
from maskwatch.secrets import SecretUrl
from maskwatch.telemetry.meter import Meter
from maskwatch.vision.faces import analysis_size


def decode_only(clip: Path) -> float:
    """Decode every frame without analysis; return the processor seconds."""
    began = time.process_time()
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            packet.decode()
    return time.process_time() - began


class Watcher:
    """The worker's work on one camera, without its sockets."""

    def __init__(self, rate: float, smallest_face: int) -> None:
        url = SecretUrl("rtsp://127.0.0.1/bench")
        self.camera = CameraConfig(name="bench", url=url, rate=rate, smallest_face=smallest_face)
        self.config = Config(cameras=(self.camera,))

    def __call__(self, clip: Path) -> float:
        """Watch the whole clip; return the processor seconds without the set-up."""
        pipeline = build_pipeline(self.config, self.camera, ids=LiveIds(), meter=Meter())
        fit = partial(analysis_size, smallest_face=self.camera.smallest_face)
        began = time.process_time()
        with FileSource(clip, rate=self.camera.rate, fit=fit) as source:
            for frame in source:
                pipeline.process(frame)
        return time.process_time() - began


def measure(clip: Path, watch: Watcher, rounds: int) -> dict[str, float]:
    """Return medians, per second of video, and the median of the rounds' ratios."""
    watch(clip)
    decode_only(clip)
    pairs = [(decode_only(clip), watch(clip)) for _ in range(rounds)]
    ratios = sorted(watching / decoding for decoding, watching in pairs)
    return {
        "decode_ms": statistics.median(pair[0] for pair in pairs) / SECONDS * 1000,
        "watch_ms": statistics.median(pair[1] for pair in pairs) / SECONDS * 1000,
        "ratio": statistics.median(ratios),
        "lowest": ratios[0],
        "highest": ratios[-1],
    }


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=5.0, help="analysed frames per second")
    parser.add_argument("--smallest-face", type=int, default=32, help="in pixels of the clip")
    parser.add_argument("--height", type=int, default=1080, help="of the clip, 16:9")
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    size = options.height * 16 // 9, options.height
    clips = {people: crowd_clip(options.folder, people, size) for people in (0, 1, 5)}
    watch = Watcher(options.rate, options.smallest_face)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    results = {people: measure(clip, watch, options.rounds) for people, clip in clips.items()}
    if options.json:
        print(json.dumps(results))
        return
    print(f"{platform.processor() or platform.machine()}, one core, {options.rounds} rounds")
    print(f"{'faces':>5} {'decode only':>12} {'watching':>10} {'ratio':>7}  (lowest to highest)")
    for people, row in results.items():
        print(
            f"{people:>5} {row['decode_ms']:>9.0f} ms {row['watch_ms']:>7.0f} ms "
            f"{row['ratio']:>7.2f}  ({row['lowest']:.2f} to {row['highest']:.2f})"
        )
    print("milliseconds of processor time per second of video")


if __name__ == "__main__":
    main()
