"""The storm: what is done to a daemon, when, and what must have been seen of it in the end."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from maskwatch.lab.evaluation.matching import DueVisit, ReportedVisit
from maskwatch.lab.evaluation.rules import Duty, ExpectedEvent, expected_events
from maskwatch.lab.rtsp import RtspServer
from maskwatch.lab.truth import Truth
from tests.chaos.account import read_journal
from tests.chaos.health import Health
from tests.chaos.leftovers import Leftovers
from tests.chaos.stage import CAMERAS, Disk, Subscriber, crowd, make_broker, make_daemon
from tests.chaos.timetable import GUST, LIFE, timetable
from tests.fakes.faked_clock import FakedClock
from tests.fakes.journaling_worker import journal_environment
from tests.fakes.waiting import wait_until

__all__ = ["Storm"]

_LOOK = 0.4
_LONGEST_GUST = 60.0
_LONGEST_CALM = 90.0
_HOURS = (*range(-12, 0), *range(1, 13))
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
        self.clock = FakedClock(folder)
        self.clock.__enter__()
        env = {**journal_environment(self.journal), **self.clock.env}
        self.leftovers = Leftovers(folder / "tmp")
        self.daemon = make_daemon(folder, self.server, self.broker, env | self.leftovers.env)
        self.health = Health(self.daemon)
        self._hours = self.rng.sample(_HOURS, len(_HOURS))
        self.done: Counter[str] = Counter()
        self._mending: list[tuple[float, Callable[[], None]]] = []
        self.begun = time.monotonic()
        self.took = 0.0

    # -- doing harm ----------------------------------------------------------------------------

    def harm(self, kind: str) -> bool:
        """Do one of the timetable's kinds; counts it if there was something to do it to."""
        if getattr(self, "_" + kind.replace(" ", "_"))():
            self.done[kind] += 1
            return True
        return False

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
                    turn = self.done["inside record"] % 2
                    victim = self.rng.choice(CAMERAS) if turn else "recorder"
                    killed = self._kill(self.health.pids.get(victim, 0))
                    os.kill(pid, signal.SIGCONT)
                    self.done["recorder" if victim == "recorder" else "worker"] += killed
                    return killed
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
        if any(mend == self.broker.start for _, mend in self._mending):
            return False
        self.broker.stop()
        self._later(self.rng.uniform(0.5, 6), self.broker.start)
        return True

    def _disk(self) -> bool:
        self.disk.fill()
        self._later(self.rng.uniform(1, 5), self.disk.free)
        return True

    def _clock(self) -> bool:
        """Jump to where the clock never was before: so each time shown has one meaning."""
        if not self._hours:
            return False
        self.clock.jump_to(self._hours.pop() * 3600)
        return True

    def _later(self, seconds: float, mend: Callable[[], None]) -> None:
        self._mending.append((time.monotonic() + seconds, mend))

    # -- course of events ----------------------------------------------------------------------

    def rage(self, duration: float) -> None:
        """Harm as much as belongs to `duration` seconds, in an order that the seed decides."""
        self.daemon.start()
        wait_until(self.health.look, 180, "every camera is live before the storm")
        self.leftovers.before(self.health.pids | {"supervisor": self.daemon.process.pid})
        self.begun = time.monotonic()
        for gust in timetable(self.rng, duration):
            self._blow(gust)
            self._live()
        self.took = time.monotonic() - self.begun

    def _blow(self, gust: list[tuple[float, str]]) -> None:
        """Do what the gust has; what finds nothing to be done to is tried again."""
        begun, to_come, owed = time.monotonic(), list(gust), list[str]()
        while (now := time.monotonic() - begun) < GUST or (owed and now < _LONGEST_GUST):
            self._turn()
            while to_come and to_come[0][0] <= now:
                owed.append(to_come.pop(0)[1])
            for kind in sorted(set(owed)):
                if self.harm(kind):
                    owed.remove(kind)
            time.sleep(_LOOK)

    def _live(self) -> None:
        """Give every camera time to come back and live a little, however slow the machine is today."""
        until, well_since = time.monotonic() + _LONGEST_CALM, time.monotonic()
        while (now := time.monotonic()) < until and now - well_since < LIFE:
            if not self._turn():
                well_since = time.monotonic()
            time.sleep(_LOOK)

    def _turn(self) -> bool:
        self._mend(time.monotonic())
        return self.health.look()

    def _mend(self, now: float) -> None:
        for at, mend in list(self._mending):
            if at <= now:
                self._mending.remove((at, mend))
                mend()

    def heal(self) -> None:
        """Mend everything, wait until all is well and delivered, and end the daemon in order."""
        self._mend(float("inf"))
        wait_until(self.health.look, 180, "every camera is live after the storm")
        for name in CAMERAS:
            self.server.faults(name).stall = True  # nobody new: let what is open be closed
        wait_until(self._drained, 180, "the outbox drains after the storm")
        self.health.look()
        self.leftovers.after(self.health.pids | {"supervisor": self.daemon.process.pid})
        children = self.daemon.children()
        code = self.daemon.stop(30)
        assert code == 0, f"the daemon ended with exit code {code}"
        left = [pid for pid in children if Path(f"/proc/{pid}").exists()]
        assert not left, f"processes left over: {left}"
        self.clock.__exit__(None, None, None)
        self.leftovers.files([*self.daemon.runtime.iterdir(), *self.daemon.data.rglob("*.tmp")])
        time.sleep(1)
        self.subscriber.close()
        self.broker.stop()
        self.server.__exit__(None, None, None)

    def abandon(self) -> None:
        """End at once what would outlive this process."""
        self.daemon.process.kill()
        self.broker.stop()
        self.clock.__exit__(None, None, None)

    def _drained(self) -> bool:
        with contextlib.suppress(OSError, StopIteration):
            waiting = self.daemon.metric("maskwatch_outbox_pending")
            return waiting == 0 and self.daemon.metric("maskwatch_violations_open") == 0
        return False

    # -- account -------------------------------------------------------------------------------

    def in_true_time(self, reported: list[ReportedVisit]) -> list[ReportedVisit]:
        """Return the visits with the moments at which the jumping clock showed what was stored."""
        return [
            replace(visit, at=datetime.fromtimestamp(moment, UTC))
            for visit in reported
            for moment in self.clock.true_moments(visit.at.timestamp())
        ]

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
