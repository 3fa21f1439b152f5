"""Coverage-guided fuzzing of what reads untrusted bytes.

    python -m tests.fuzz [TARGET...] [--seconds 60]        (make fuzz DURATION=60)

Each target runs in a process of its own from a small seed corpus; anything that it raises beside the
errors it may raise ends it, and the input is left in .fuzz/. Put such an input among the regressions of
tests/fuzz/test_targets.py, which runs every target on its seeds with the other tests.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(".fuzz")


def _fuzz(name: str, seconds: int) -> None:
    """Run one target in this process for `seconds`, or without end if that is 0."""
    import atheris  # installed by `make fuzz` only

    with atheris.instrument_imports(include=["maskwatch", "yaml"]):
        from tests.fuzz.targets import TARGETS, run
    from tests.fuzz.mutate import mutate

    corpus = _FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", "-max_len=65536", "-timeout=10", "-rss_limit_mb=2048"]
    prefix = f"-artifact_prefix={_FOLDER}/{name}-"

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        """Mutate two of three inputs within their form, the third byte by byte.

        The base may be a seed: libFuzzer drops seeds without coverage of their own, as decoders are C.
        """
        rng = random.Random(seed)
        base = rng.choice([data, rng.choice(TARGETS[name])])
        made = mutate(name, base, rng) if seed % 3 else None
        return made if made is not None and len(made) <= max_size else atheris.Mutate(data, max_size)

    atheris.Setup(
        [sys.argv[0], *limits, prefix, str(corpus)],
        lambda data: run(name, data),
        custom_mutator=mutated,
    )
    atheris.Fuzz()


def main() -> None:
    """Fuzz the targets that are named, or all of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        _fuzz(options.one, options.seconds)
        return
    from tests.fuzz.targets import TARGETS  # not before: a target's process must import it instrumented

    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target {min(unknown)}; there are {', '.join(TARGETS)}")
    failed = []
    for name in options.targets or TARGETS:
        print(f"=== {name}", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", "--one", name, "--seconds", str(options.seconds)]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}; the inputs are in {_FOLDER}")


if __name__ == "__main__":
    main()
