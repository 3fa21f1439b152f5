"""`make chaos`: a seeded storm over the real daemon, and an account that must balance.

    python -m tests.chaos [--duration 600] [--seed N] [--folder DIR]

Workers, recorder and supervisor are killed at random instants, some of them while `record` waits for
its acknowledgement; cameras stall, drop, corrupt and die; the broker comes and goes, the disk fills,
and the wall clock of all the daemon's processes jumps by hours. Then everything heals, the outbox
drains, and what was acknowledged, stored and received is compared. A storm that was too mild is a
failure too, and so is anything left over. Needs root (a mount namespace of its own).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from maskwatch.lab.evaluation.matching import balance
from tests.chaos.account import Ledger, read_journal, read_store
from tests.chaos.storm import Storm
from tests.chaos.timetable import FULL, KILLS, LEAST, LEAST_VIOLATIONS, LEAST_VISITS, least

_IN_NAMESPACE = "MASKWATCH_CHAOS_NAMESPACE"
_WINDOW = 20  # the daemon's default
_FOUND = 0.95  # of the visits in healthy time


def _reexecute() -> None:
    """Go on in a mount namespace of our own, so that the small disk is nobody else's."""
    if os.geteuid() != 0:
        sys.exit("make chaos needs root: it fills a disk of its own in a private mount namespace")
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
    kills = sum(storm.done[kind] for kind in KILLS)
    ledger = Ledger(
        read_journal(storm.journal),
        read_store(storm.daemon.data / "maskwatch.db"),
        list(storm.subscriber.alerts),
        kills,
        _WINDOW,
    )
    ledger.check()
    due_visits = storm.due_in_health()
    reported = storm.in_true_time(ledger.stored.opened)
    for visit in ledger.stored.opened:
        if visit.id not in {known.id for known in reported}:
            ledger.faults.append(f"{visit.camera}: {visit.at} was never shown by the clock")
    found, due = len(balance(due_visits, reported).found), len(due_visits)
    if found < _FOUND * due:
        ledger.faults.append(f"only {found} of {due} visits in healthy time were found")
    if due < least(LEAST_VISITS, duration):
        ledger.faults.append(f"only {due} visits fell into healthy time: too few to say anything")
    ledger.faults += storm.leftovers.faults + _too_mild(storm.done, len(ledger.stored.opened), duration)
    print(
        "done to it              " + ", ".join(f"{kind} {n}" for kind, n in sorted(storm.done.items()))
    )
    print("\n".join(ledger.lines()))
    print(f"visits in healthy time  {due}, found {found}")
    print(f"killed by the supervisor as hung  {storm.daemon.log().count(': killing it')}")
    print(f"the storm took {storm.took:.0f} s (waiting for cameras to come back included)")
    print(f"processors {os.cpu_count()}, load averages {os.getloadavg()}")
    for fault in ledger.faults:
        print(f"FAULT: {fault}")
    print("the account balances" if not ledger.faults else "the account does NOT balance")
    return 1 if ledger.faults else 0


def _too_mild(done: Counter[str], violations: int, duration: float) -> list[str]:
    """Return in words what a storm of this length should have had more of."""
    asked = {kind: least(count, duration) for kind, count in LEAST.items()}
    faults = [
        f"only {done[kind]} times, {n} asked: {kind}" for kind, n in asked.items() if done[kind] < n
    ]
    asked_violations = least(LEAST_VIOLATIONS, duration)
    if violations < asked_violations:
        faults.append(f"only {violations} violations, {asked_violations} asked")
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
        storm.rage(options.duration)
        print("the storm is over; healing", flush=True)
        storm.heal()
    except (AssertionError, subprocess.TimeoutExpired, KeyboardInterrupt) as failure:
        print(f"FAULT: {str(failure) or 'broken off'}", *storm.daemon.log().splitlines()[-30:], sep="\n")
        storm.abandon()
        return 1
    return _judge(storm, options.duration)


if __name__ == "__main__":
    sys.exit(main())
