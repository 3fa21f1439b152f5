"""The storm: injects faults into a running daemon, and lists the visits that it must have found."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from maskwatch.ipc.control import CONTROL_SOCKET
from maskwatch.lab.evaluation.matching import DueVisit, ReportedVisit
from maskwatch.lab.evaluation.rules import Duty, ExpectedEvent, expected_events
from maskwatch.lab.rtsp import RtspServer
from maskwatch.lab.truth import Truth
from tests.chaos.environment import CAMERAS, Disk, Subscriber, make_broker, make_daemon, render_crowd
from tests.chaos.health import Health
from tests.chaos.leftovers import Leftovers
from tests.chaos.reconciliation import read_journal
from tests.chaos.schedule import CALM, PHASE, make_schedule
from tests.fakes.faked_clock import FakedClock
from tests.fakes.hostile_peers import PEERS, connected
from tests.fakes.journaling_worker import journal_environment
from tests.fakes.waiting import wait_until

_POLL_INTERVAL = 0.4
_MAX_PHASE = 60.0
_MAX_CALM = 90.0
_HOURS = (*range(-12, 0), *range(1, 13))
_OPENED = re.compile(r"violation opened violation=(\S+)")


class Storm:
    """The environment, and the faults that are injected into it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.rng = folder, random.Random(seed)
        clip, self.truth = render_crowd(folder)
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
        self._peers = self.rng.sample(list(PEERS), len(PEERS))
        self._hours = self.rng.sample(_HOURS, len(_HOURS))
        self.done: Counter[str] = Counter()
        self._repairs: list[tuple[float, Callable[[], None]]] = []
        self.begun = time.monotonic()
        self.took = 0.0

    # -- faults --------------------------------------------------------------------------------

    def inject(self, kind: str) -> bool:
        """Inject one fault of the schedule; count it if there was something to inject it into."""
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

    def _start_up(self) -> bool:
        """Kill the supervisor while it starts; the next one finds the port of its metrics in use."""
        if not self._supervisor():
            return False
        time.sleep(self.rng.uniform(0, 2.5))
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.done["supervisor"] += 2
        stranger = socket.create_server(("127.0.0.1", self.daemon.metrics_port))
        self.daemon.start()
        self._later(self.rng.uniform(1, 4), stranger.close)
        return True

    def _inside_record(self) -> bool:
        """Stop the recorder until a worker waits for it, then kill one of the two."""
        pid = self.health.pids.get("recorder", 0)
        if not pid:
            return False
        begin = self.daemon.log_file.stat().st_size
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            until = time.monotonic() + 4
            while time.monotonic() < until:
                waiting = set(_OPENED.findall(self._log_from(begin))) - {
                    k for k, _ in self._acknowledged()
                }
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

    def _acknowledged(self) -> set[tuple[str, int]]:
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
        if any(repair == self.broker.start for _, repair in self._repairs):
            return False
        self.broker.stop()
        self._later(self.rng.uniform(0.5, 6), self.broker.start)
        return True

    def _disk(self) -> bool:
        self.disk.fill()
        self._later(self.rng.uniform(1, 5), self.disk.free)
        return True

    def _clock(self) -> bool:
        """Jump to a new offset, so that each time shown is unambiguous."""
        if not self._hours:
            return False
        self.clock.jump_to(self._hours.pop() * 3600)
        return True

    def _peer(self) -> bool:
        """Have the next hostile peer connect to the recorder's and to the control socket."""
        peer, reached = PEERS[self._peers[self.done["peer"] % len(self._peers)]], False
        for name in ("recorder.sock", CONTROL_SOCKET):
            with (
                contextlib.suppress(OSError),  # its process is being restarted
                connected(peer, self.daemon.runtime / name),
            ):
                reached = True
        return reached

    def _later(self, seconds: float, repair: Callable[[], None]) -> None:
        self._repairs.append((time.monotonic() + seconds, repair))

    # -- phases -------------------------------------------------------------------------------

    def run(self, duration: float) -> None:
        """Inject the faults of a storm of `duration` seconds, in an order that the seed determines."""
        self.daemon.start()
        wait_until(self.health.poll, 180, "every camera is live before the storm")
        self.leftovers.before(self.health.pids | {"supervisor": self.daemon.process.pid})
        self.begun = time.monotonic()
        for phase in make_schedule(self.rng, duration):
            self._run_phase(phase)
            self._calm()
        self.took = time.monotonic() - self.begun

    def _run_phase(self, phase: list[tuple[float, str]]) -> None:
        """Inject the faults of a phase; one that finds no target is retried."""
        begun, scheduled, due = time.monotonic(), list(phase), list[str]()
        while (now := time.monotonic() - begun) < PHASE or (due and now < _MAX_PHASE):
            self._poll()
            while scheduled and scheduled[0][0] <= now:
                due.append(scheduled.pop(0)[1])
            for kind in sorted(set(due)):
                if self.inject(kind):
                    due.remove(kind)
            time.sleep(_POLL_INTERVAL)

    def _calm(self) -> None:
        """Wait until every camera was live without a break for `CALM` seconds."""
        until, live_since = time.monotonic() + _MAX_CALM, time.monotonic()
        while (now := time.monotonic()) < until and now - live_since < CALM:
            if not self._poll():
                live_since = time.monotonic()
            time.sleep(_POLL_INTERVAL)

    def _poll(self) -> bool:
        self._repair(time.monotonic())
        return self.health.poll()

    def _repair(self, now: float) -> None:
        for at, repair in list(self._repairs):
            if at <= now:
                self._repairs.remove((at, repair))
                repair()

    def heal(self) -> None:
        """Repair everything, wait until all alerts are delivered, and stop the daemon."""
        self._repair(float("inf"))
        wait_until(self.health.poll, 180, "every camera is live after the storm")
        for name in CAMERAS:
            self.server.faults(name).stall = True  # no new visits, so that open violations close
        wait_until(self._drained, 180, "the outbox drains after the storm")
        self.health.poll()
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
        """Kill what would outlive this process."""
        self.daemon.process.kill()
        self.broker.stop()
        self.clock.__exit__(None, None, None)

    def _drained(self) -> bool:
        with contextlib.suppress(OSError, StopIteration):
            waiting = self.daemon.metric("maskwatch_outbox_pending")
            return waiting == 0 and self.daemon.metric("maskwatch_violations_open") == 0
        return False

    # -- results -------------------------------------------------------------------------------

    def in_true_time(self, reported: list[ReportedVisit]) -> list[ReportedVisit]:
        """Return the visits with the moments at which the jumping clock shdue what was stored."""
        return [
            replace(visit, at=datetime.fromtimestamp(moment, UTC))
            for visit in reported
            for moment in self.clock.true_moments(visit.at.timestamp())
        ]

    def due_in_health(self) -> list[DueVisit]:
        """Return the visits that are within a healthy interval of their camera."""
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
                if self.health.was_healthy(name, started.monotonic + begin, started.monotonic + end):
                    wall = [started.wall + timedelta(seconds=at) for at in (begin, end)]
                    visits.append(
                        DueVisit(name, f"{event.person}, lap {lap}", wall[0], wall[1], must=True)
                    )
        return visits
