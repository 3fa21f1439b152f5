"""`make chaos`: a seeded storm of faults over the real daemon; no violation may be lost.

    python -m tests.chaos [--duration 600] [--seed N] [--folder DIR]

Workers, recorder and supervisor are killed at random instants, some of them while `record` waits for
its acknowledgement, or at a failpoint of start, reload and end. Starts miss something that comes later.
Workers are taken over. Cameras stall, drop and corrupt frames, and disconnect. The broker is away, set
up wrongly, or refuses; the service that notifies people too. The disk fills, and the wall clock of all
processes of the daemon jumps by hours. Then all faults end, the outbox drains, and what was
acknowledged, stored and received is compared. Too few faults, and anything left over, are failures too.
Needs root (a mount namespace of its own).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from maskwatch.lab.evaluation.matching import match_reports
from tests.chaos.reconciliation import Reconciliation, made_up, read_journal, read_store
from tests.chaos.schedule import (
    FULL,
    MIN_FAULTS,
    MIN_KILLS,
    MIN_VIOLATIONS,
    MIN_VISITS,
    VARIANTS,
    required,
)
from tests.chaos.storm import Storm

_IN_NAMESPACE = "MASKWATCH_CHAOS_NAMESPACE"
_WINDOW = 20  # the daemon's default
_FOUND = 0.95  # of the visits in healthy time


def _reexecute() -> None:
    """Continue in a private mount namespace, so that no other process sees the small disk."""
    if os.geteuid() != 0:
        sys.exit("make chaos needs root: it fills a disk in a private mount namespace")
    os.environ[_IN_NAMESPACE] = "1"
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        sys.executable,
        "-m",
        "tests.chaos",
        *sys.argv[1:],
    ]
    os.execvp(command[0], command)


def _judge(storm: Storm, duration: float) -> int:
    result = Reconciliation(
        read_journal(storm.journal),
        read_store(storm.daemon.data / "maskwatch.db"),
        [key for key in storm.subscriber.alerts if not made_up(key)],
        {key for key in storm.service.received() if not made_up(key)},
        storm.kills.total(),
        _WINDOW,
    )
    result.check()
    due_visits = storm.due_in_health()
    reported = storm.in_true_time(result.stored.opened)
    for visit in result.stored.opened:
        if visit.id not in {other.id for other in reported}:
            result.faults.append(f"{visit.camera}: {visit.at} was never shown by the clock")
    found, due = len(match_reports(due_visits, reported).found), len(due_visits)
    if found < _FOUND * due:
        result.faults.append(f"only {found} of {due} visits in healthy time were found")
    if due < required(MIN_VISITS, duration):
        result.faults.append(f"only {due} visits were in healthy time: too few for a result")
    result.faults += storm.leftovers.faults + _missing_faults(storm, len(result.stored.opened), duration)
    print("\n".join(_done(storm)))
    print("\n".join(result.lines()))
    print(f"visits in healthy time  {due}, found {found}")
    print(f"killed by the supervisor as hung  {storm.daemon.log().count(': killing it')}")
    print(f"the storm took {storm.took:.0f} s (waiting for cameras to come back included)")
    print(f"processors {os.cpu_count()}, load averages {os.getloadavg()}")
    for fault in result.faults:
        print(f"FAULT: {fault}")
    print("the account balances" if not result.faults else "the account does NOT balance")
    return 1 if result.faults else 0


def _done(storm: Storm) -> Iterator[str]:
    """Yield what was done, by kind."""
    for what, count in sorted(storm.kills.items()):
        yield f"{'killed: ' + what:24}{count}"
    for kind, variants in sorted(storm.deck.dealt.items()):
        named = ", ".join(f"{name} {count}" for name, count in sorted(variants.items()) if name)
        yield f"{kind:24}{variants.total()}" + (f": {named}" if named else "")


def _missing_faults(storm: Storm, violations: int, duration: float) -> list[str]:
    """Describe the kinds of which a storm of this length requires more."""
    done = {kind: dealt.total() for kind, dealt in storm.deck.dealt.items()} | storm.kills
    minimums = {kind: required(count, duration) for kind, count in (MIN_KILLS | MIN_FAULTS).items()}
    faults = [
        f"only {done.get(kind, 0)} times, {n} required: {kind}"
        for kind, n in minimums.items()
        if done.get(kind, 0) < n
    ]
    min_violations = required(MIN_VIOLATIONS, duration)
    if violations < min_violations:
        faults.append(f"only {violations} violations, {min_violations} required")
    if duration >= FULL:
        for kind, variants in VARIANTS.items():
            faults += [f"never: {kind}: {each}" for each in variants if not storm.deck.dealt[kind][each]]
    return faults


def main() -> int:
    """Run the storm; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="tests.chaos", description="A seeded storm over the real daemon."
    )
    parser.add_argument("--duration", type=float, default=FULL, help="seconds")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="where to leave log and data (default: a new one)")
    options = parser.parse_args()
    if not os.environ.get(_IN_NAMESPACE):
        _reexecute()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="maskwatch-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"chaos: seed {options.seed}, {options.duration:.0f} s, everything in {folder}", flush=True)
    storm = Storm(folder, options.seed)
    try:
        storm.run(options.duration)
        print("the storm is over; repairing", flush=True)
        storm.heal()
    except (AssertionError, subprocess.TimeoutExpired, KeyboardInterrupt) as failure:
        print(
            f"FAULT: {str(failure) or 'interrupted'}", *storm.daemon.log().splitlines()[-30:], sep="\n"
        )
        storm.abandon()
        return 1
    return _judge(storm, options.duration)


if __name__ == "__main__":
    sys.exit(main())
