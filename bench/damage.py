"""Measures how many damaged pictures are judged, and how many intact ones are not.

    python -m bench.damage [--seconds 60] [--rate 50] [--json]

The lab's RTSP server sends numbered pictures with one kind of fault; the decoding thread of a worker
reads them. Every accepted picture is compared with the one of the same number in the clip: an intact
picture is identical, one that differs is damaged and would be judged. All streams run in parallel
over TCP, which delivers altered packets, and gaps for omitted ones, to the decoder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from maskwatch.capture.container import StreamOptions
from maskwatch.capture.mailbox import Mailbox, Sample
from maskwatch.capture.reader import StreamReader
from maskwatch.capture.source import SourceCounts
from maskwatch.clock import SystemClock
from maskwatch.errors import SourceError
from maskwatch.lab.rtsp import RtspServer
from maskwatch.secrets import SecretUrl
from tests.fakes.clips import make_clip, number_of

_FRAMES = 500
_KINDS = {"H.264": ("h264", 1), "H.264, 4 slices": ("h264", 4), "H.265": ("hevc", 1)}
_FAULTS = {
    "none": {},
    "packets lost": {"drop": 0.002},
    "packets altered": {"corrupt": 0.002},
    "pictures left out": {"omit": 0.01},
}
_VISIBLE = 8.0  # mean difference of a block, of 255
_BLOCK = 16

Image = npt.NDArray[np.uint8]


@dataclass
class Row:
    """What became of one stream's pictures."""

    codec: str
    fault: str
    faults: int = 0
    decoded: int = 0
    held_back: int = 0
    passed: int = 0
    wrong: int = 0
    """Passed, and not the same to the last bit."""
    visible: int = 0
    """Passed, and wrong by more than `_VISIBLE` somewhere."""
    failures: list[str] = field(default_factory=list)


class Judge(Mailbox):
    """Takes every picture that passes, in the decoding thread, and compares it."""

    def __init__(self, truth: dict[int, Image], row: Row) -> None:
        super().__init__()
        self._truth = truth
        self._row = row

    def put(self, sample: Sample) -> bool:
        """Compare a picture with the clip's."""
        image = sample.video.to_ndarray(format="bgr24")
        true = self._truth.get(number_of(image))
        self._row.passed += 1
        if true is None or not np.array_equal(image, true):
            self._row.wrong += 1
            self._row.visible += true is None or _worst_block(image, true) > _VISIBLE
        return False

    def fail(self, error: SourceError) -> None:
        """Note why the stream ended."""
        self._row.failures.append(str(error))


def _worst_block(image: Image, true: Image) -> float:
    height, width = (side // _BLOCK * _BLOCK for side in image.shape[:2])
    difference = np.abs(image[:height, :width].astype(int) - true[:height, :width]).mean(axis=2)
    return float(difference.reshape(height // _BLOCK, _BLOCK, -1, _BLOCK).mean(axis=(1, 3)).max())


def _truth(clip: Path) -> dict[int, Image]:
    with av.open(str(clip)) as container:
        images = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    return {number_of(image): image for image in images}


def measure(folder: Path, seconds: float, rate: int) -> list[Row]:
    """Read streams of every kind with every fault in parallel."""
    rows, readers = [], []
    with RtspServer(seed=1) as server:
        clips = {
            kind: make_clip(
                folder / f"{number}.mp4", codec=codec, slices=slices, frames=_FRAMES, rate=rate, gop=rate
            )
            for number, (kind, (codec, slices)) in enumerate(_KINDS.items())
        }
        truths = {kind: _truth(clip) for kind, clip in clips.items()}
        for number, (kind, fault) in enumerate(product(_KINDS, _FAULTS)):
            row, counts, name = Row(kind, fault), SourceCounts(), f"camera-{number}"
            faults = server.add(name, clips[kind])
            stream = StreamOptions(SecretUrl(server.url(name)), stall_timeout=seconds)
            judge = Judge(truths[kind], row)
            reader = StreamReader(stream, 1e6, judge, counts, SystemClock())
            threading.Thread(target=reader.run, daemon=True).start()
            rows.append(row)
            readers.append((reader, counts, faults, name))
        time.sleep(3)  # every stream begins without faults
        for row, (_, _, faults, _) in zip(rows, readers, strict=True):
            for kind, share in _FAULTS[row.fault].items():
                setattr(faults, kind, share)
        time.sleep(seconds)
        for row, (reader, counts, _, name) in zip(rows, readers, strict=True):
            reader.stop()
            sent = server.counts(name)
            row.faults = sent.dropped + sent.corrupted + sent.omitted
            row.decoded, row.held_back = counts.decoded, counts.damaged
        time.sleep(1)
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.seconds, options.rate)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print("| stream | fault | faults | decoded | held back | passed | of these wrong | visibly |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.codec} | {row.fault} | {row.faults} | {row.decoded} | {row.held_back} "
            f"| {row.passed} | {row.wrong} | {row.visible} | {'; '.join(row.failures)}"
        )


if __name__ == "__main__":
    main()
