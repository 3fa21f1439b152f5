"""Compares what watching a camera costs with the figures of bench/reference.json.

    python -m bench.check [--rounds 3] [--update] [--folder .cache/bench]

For each clip, the ratio of watching to decoding alone is measured as by `maskwatch bench`, on one core
and interleaved, so that a slower machine gives the same ratio. Exit code 1 if a ratio is more than a
tenth above its reference; a clip that fails is measured once more first. `--update` writes the
measured ratios as the new reference.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from maskwatch.lab.camera_cost import Workload, measure
from maskwatch.lab.crowd import crowd_clip, noisy_clip
from maskwatch.lab.machine import machine

REFERENCE = Path(__file__).with_name("reference.json")
TOLERANCE = 1.1
_SECONDS = 8.0
_CLIPS = (
    (1080, 0, False),
    (1080, 5, False),
    (1080, 0, True),
    (1080, 5, True),
    (360, 0, False),
    (360, 5, False),
)


def worse(measured: dict[str, float], reference: dict[str, float]) -> list[str]:
    """Return the names whose ratio is more than a tenth above its reference."""
    return [name for name, ratio in measured.items() if ratio > TOLERANCE * reference.get(name, ratio)]


def names() -> list[str]:
    """Return the names of the clips that are measured."""
    return [_name(*clip) for clip in _CLIPS]


def _name(height: int, people: int, noisy: bool) -> str:  # noqa: FBT001 - a row of _CLIPS
    return f"{height}p, {people} faces{', noisy' if noisy else ''}"


def clips(folder: Path) -> dict[str, Path]:
    """Return the clips by name, rendered at the first call."""
    found = {}
    for height, people, noisy in _CLIPS:
        clip = crowd_clip(folder, people, (height * 16 // 9, height))
        found[_name(height, people, noisy)] = noisy_clip(clip) if noisy else clip
    return found


def main() -> int:
    """Measure, print the table, and compare or write the reference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--update", action="store_true", help="write the reference instead of comparing")
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    options = parser.parse_args()
    reference = {} if options.update else json.loads(REFERENCE.read_text(encoding="utf-8"))["ratios"]
    measured = {}
    print(f"{'clip':<22} {'ratio':>6} {'reference':>9}", flush=True)
    for name, clip in clips(options.folder).items():
        load = Workload(str(clip), seconds=_SECONDS, rounds=options.rounds)
        ratio = measure(load).ratio
        if worse({name: ratio}, reference):
            ratio = min(ratio, measure(load).ratio)
        measured[name] = round(ratio, 2)
        print(f"{name:<22} {ratio:>6.2f} {reference.get(name, float('nan')):>9.2f}", flush=True)
    if options.update:
        about = {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "ratios": measured}
        REFERENCE.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        return 0
    failed = worse(measured, reference)
    for name in failed:
        limit = TOLERANCE * reference[name]
        print(
            f"{name}: {measured[name]:.2f} is above {limit:.2f}, a tenth over the reference", flush=True
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
