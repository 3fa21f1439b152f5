"""Measures the processor time of watching one camera, as a ratio to decoding alone.

    python -m bench.cost [--rounds 5] [--rate 5] [--smallest-face 32] [--height 1080] [--noisy]
        [--face-search whole|regions] [--json]

For clips with 0, 1 and 5 people in view all the time (25 frames a second of H.264, see
maskwatch/lab/crowd.py). The measurement is that of `maskwatch bench`, see maskwatch/lab/camera_cost.py.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from maskwatch.config.schema import FaceSearch
from maskwatch.lab.camera_cost import Workload, measure
from maskwatch.lab.crowd import crowd_clip, noisy_clip
from maskwatch.lab.machine import machine


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=5.0, help="analysed frames per second")
    parser.add_argument("--smallest-face", type=int, default=32, help="in pixels of the clip")
    parser.add_argument("--height", type=int, default=1080, help="of the clip, 16:9")
    parser.add_argument("--noisy", action="store_true", help="with a sensor's noise, at 4 Mbit/s")
    parser.add_argument("--face-search", choices=list(FaceSearch), default=FaceSearch.WHOLE)
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    size = options.height * 16 // 9, options.height
    results = {}
    for people in (0, 1, 5):
        clip = crowd_clip(options.folder, people, size)
        clip = noisy_clip(clip) if options.noisy else clip
        workload = Workload(
            str(clip),
            options.rate,
            options.smallest_face,
            FaceSearch(options.face_search),
            rounds=options.rounds,
        )
        results[people] = measure(workload)
    if options.json:
        print(json.dumps({people: asdict(cost) for people, cost in results.items()}))
        return
    print(f"{machine()}, one core, {options.rounds} rounds")
    print(f"{'faces':>5} {'decode only':>12} {'watching':>10} {'ratio':>7}  (lowest to highest)")
    for people, cost in results.items():
        print(
            f"{people:>5} {cost.decode * 1000:>9.0f} ms {cost.watch * 1000:>7.0f} ms "
            f"{cost.ratio:>7.2f}  ({cost.lowest:.2f} to {cost.highest:.2f})"
        )
    print("milliseconds of processor time per second of video")


if __name__ == "__main__":
    main()
