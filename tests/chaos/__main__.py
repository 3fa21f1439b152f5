"""`make chaos`: a seeded storm over the real daemon, and an account that must balance.

    python -m tests.chaos [--duration 600] [--seed N] [--folder DIR]

Workers, recorder and supervisor are killed at random instants, some of them while `record` waits for
its acknowledgement; cameras stall, drop, corrupt and die; the broker comes and goes and the disk fills.
Then everything heals, the outbox drains, and what was acknowledged, stored and
received is compared. Needs root (a mount namespace of its own).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from maskwatch.testing.account import DueVisit, balance
from maskwatch.testing.rtsp import RtspServer
from maskwatch.testing.rules import Duty, ExpectedEvent, expected_events
from maskwatch.testing.truth import Truth
from tests.chaos.account import Ledger, read_journal, read_store
from tests.chaos.health import Health
from tests.chaos.stage import CAMERAS, Disk, Subscriber, crowd, make_broker, make_daemon
from tests.e2e.daemon import wait_until

_IN_NAMESPACE = "MASKWATCH_CHAOS_NAMESPACE"
_LOOK = 0.4
_WINDOW = 20  # the daemon's default
# What a ten-minute storm must have contained, and the share of healthy visits found.
_FULL = 600
_LEAST = {"worker": 50, "recorder": 50, "supervisor": 50, "inside record": 10}
_LEAST_VIOLATIONS = 500
_FOUND = 0.95
# Mean seconds between two of each kind.
_EVERY = {
    "worker": 9.0,
    "recorder": 9.5,
    "supervisor": 10.5,
    "inside record": 30.0,
    "camera": 14.0,
    "broker": 40.0,
    "disk": 75.0,
}
_OPENED = re.compile(r"violation opened violation=(\S+)")


class Storm:
    """All there is, and what may be done to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.rng = folder, random.Random(seed)
        clip, self.truth = crowd(folder)
        self.server = RtspServer(seed=seed)
        self.server.__enter__()
        for number, name in enumerate(CAMERAS):
            self.server.add(name, clip, start="manual")
            self.server.play(name, after=2.3 * number)
        self.broker = make_broker(folder / "broker")
        self.broker.start()
        self.subscriber = Subscriber(self.broker.port)
        self.disk = Disk(folder / "data")
        self.journal = folder / "journal"
        self.journal.touch()
        self.daemon = make_daemon(folder, self.server, self.broker, self.journal)
        self.health = Health(self.daemon)
        self.done: Counter[str] = Counter()
        self._mending: list[tuple[float, Callable[[], None]]] = []
        self.begun = time.monotonic()

    # -- doing harm ----------------------------------------------------------------------------

    def harm(self, kind: str) -> None:
        """Do one of `_EVERY`; counts it if there was something to do it to."""
        if getattr(self, "_" + kind.replace(" ", "_"))():
            self.done[kind] += 1

    def _kill(self, pid: int) -> bool:
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def _worker(self) -> bool:
        return self._kill(self.health.pids.get(self.rng.choice(CAMERAS), 0))

    def _recorder(self) -> bool:
        return self._kill(self.health.pids.get("recorder", 0))

    def _supervisor(self) -> bool:
        if not self.health.pids:
            return False
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.health.pids = {}
        self.daemon.start()
        return True

    def _inside_record(self) -> bool:
        """Hold the recorder still until a worker waits for it, then kill the one or the other."""
        pid = self.health.pids.get("recorder", 0)
        if not pid:
            return False
        begin = self.daemon.log_file.stat().st_size
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            until = time.monotonic() + 4
            while time.monotonic() < until:
                waiting = set(_OPENED.findall(self._log_from(begin))) - {k for k, _ in self._noted()}
                if waiting:
                    victim = (
                        self.rng.choice([pid, *(self.health.pids.get(c, 0) for c in CAMERAS)]) or pid
                    )
                    self._kill(victim)
                    os.kill(pid, signal.SIGCONT)
                    return True
                time.sleep(0.05)
            os.kill(pid, signal.SIGCONT)
        return False

    def _log_from(self, offset: int) -> str:
        with self.daemon.log_file.open("rb") as file:
            file.seek(offset)
            return file.read().decode(errors="replace")

    def _noted(self) -> set[tuple[str, int]]:
        return read_journal(self.journal)

    def _camera(self) -> bool:
        name = self.rng.choice(CAMERAS)
        faults = self.server.faults(name)
        field, value = self.rng.choice(
            [
                ("stall", True),
                ("drop", 0.3),
                ("corrupt", 0.3),
                ("silent", True),
                ("garbage", True),
                ("close", True),
            ]
        )
        setattr(faults, field, value)
        if field == "close":
            self.server.disconnect(name)
        self._later(self.rng.uniform(1, 5), faults.clear)
        return True

    def _broker(self) -> bool:
        self.broker.stop()
        self._later(self.rng.uniform(0.5, 6), self.broker.start)
        return True

    def _disk(self) -> bool:
        self.disk.fill()
        self._later(self.rng.uniform(1, 5), self.disk.free)
        return True

    def _later(self, seconds: float, mend: Callable[[], None]) -> None:
        self._mending.append((time.monotonic() + seconds, mend))

    # -- course of events ----------------------------------------------------------------------

    def rage(self, duration: float) -> None:
        """Harm for `duration` seconds, in an order that the seed decides."""
        self.daemon.start()
        wait_until(self.health.look, 90, "every camera is live before the storm")
        now = time.monotonic()
        self.begun = now
        due = {kind: now + self.rng.expovariate(1 / mean) for kind, mean in _EVERY.items()}
        end = now + duration
        while (now := time.monotonic()) < end:
            self.health.look()
            self._mend(now)
            for kind in [kind for kind, at in due.items() if at <= now]:
                busy = kind == "broker" and any(mend == self.broker.start for _, mend in self._mending)
                if not busy:
                    self.harm(kind)
                due[kind] = now + self.rng.expovariate(1 / _EVERY[kind])
            time.sleep(_LOOK)

    def _mend(self, now: float) -> None:
        for at, mend in list(self._mending):
            if at <= now:
                self._mending.remove((at, mend))
                mend()

    def heal(self) -> None:
        """Mend everything, wait until all is well and delivered, and end the daemon in order."""
        self._mend(float("inf"))
        wait_until(self.health.look, 120, "every camera is live after the storm")
        for name in CAMERAS:
            self.server.faults(name).stall = True  # nobody new: let what is open be closed
        wait_until(self._drained, 120, "the outbox drains after the storm")
        children = self.daemon.children()
        code = self.daemon.stop(30)
        assert code == 0, f"the daemon ended with exit code {code}"
        left = [pid for pid in children if Path(f"/proc/{pid}").exists()]
        assert not left, f"processes left over: {left}"
        rubbish = [*self.daemon.runtime.glob("*.sock"), *self.daemon.data.rglob("*.tmp")]
        assert not rubbish, f"files left over: {rubbish}"
        time.sleep(1)
        self.subscriber.close()
        self.broker.stop()
        self.server.__exit__(None, None, None)

    def _drained(self) -> bool:
        with contextlib.suppress(OSError, StopIteration):
            waiting = self.daemon.metric("maskwatch_outbox_pending")
            return waiting == 0 and self.daemon.metric("maskwatch_violations_open") == 0
        return False

    # -- account -------------------------------------------------------------------------------

    def due_in_health(self) -> list[DueVisit]:
        """Return the visits that fell wholly into healthy time of their camera."""
        events = [e for e in expected_events(self.truth) if e.duty is Duty.REQUIRED]
        return [visit for name in CAMERAS for visit in self._visits(name, events, self.truth)]

    def _visits(self, name: str, events: list[ExpectedEvent], truth: Truth) -> list[DueVisit]:
        started = self.server.started(name)
        assert started is not None
        visits = []
        for lap in range(int((time.monotonic() - started.monotonic) / truth.seconds)):
            for event in events:
                lead = lap * truth.seconds
                begin, end = lead + event.begins, lead + event.ends
                if self.health.was_well(name, started.monotonic + begin, started.monotonic + end):
                    wall = [started.wall + timedelta(seconds=at) for at in (begin, end)]
                    visits.append(
                        DueVisit(name, f"{event.person}, lap {lap}", wall[0], wall[1], must=True)
                    )
        return visits


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
    kills = sum(storm.done[kind] for kind in ("worker", "recorder", "supervisor", "inside record"))
    ledger = Ledger(
        read_journal(storm.journal),
        read_store(storm.daemon.data / "maskwatch.db"),
        list(storm.subscriber.alerts),
        storm.done["worker"] + storm.done["supervisor"],
        kills,
        _WINDOW,
    )
    ledger.check()
    due_visits = storm.due_in_health()
    found, due = len(balance(due_visits, ledger.stored.opened).found), len(due_visits)
    if found < _FOUND * due:
        ledger.faults.append(f"only {found} of {due} visits in healthy time were found")
    if duration >= _FULL:
        scale = {kind: least for kind, least in _LEAST.items() if storm.done[kind] < least}
        ledger.faults += [f"only {storm.done[kind]} times: {kind}" for kind in scale]
        if len(ledger.stored.opened) < _LEAST_VIOLATIONS:
            ledger.faults.append(f"only {len(ledger.stored.opened)} violations")
    print(
        "done to it              " + ", ".join(f"{kind} {n}" for kind, n in sorted(storm.done.items()))
    )
    print("\n".join(ledger.lines()))
    print(f"visits in healthy time  {due}, found {found}")
    for fault in ledger.faults:
        print(f"FAULT: {fault}")
    print("the account balances" if not ledger.faults else "the account does NOT balance")
    return 1 if ledger.faults else 0


def main() -> int:
    """Run the storm; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="tests.chaos", description="A seeded storm over the real daemon."
    )
    parser.add_argument("--duration", type=float, default=float(_FULL), help="seconds")
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
    except AssertionError as failure:
        print(f"FAULT: {failure}\n" + "\n".join(storm.daemon.log().splitlines()[-30:]))
        storm.daemon.process.kill()
        return 1
    return _judge(storm, options.duration)


if __name__ == "__main__":
    sys.exit(main())
