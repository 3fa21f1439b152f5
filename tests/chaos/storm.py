"""The storm: injects faults into a running daemon, and lists the visits that it must have found."""

from __future__ import annotations

import contextlib
import math
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

import msgspec

from maskwatch.ipc.control import CONTROL_SOCKET
from maskwatch.lab.evaluation.matching import DueVisit, ReportedVisit
from maskwatch.lab.evaluation.rules import Duty, ExpectedEvent, expected_events
from maskwatch.lab.rtsp import RtspServer
from maskwatch.lab.truth import Truth
from tests.chaos.disk import Disk
from tests.chaos.environment import CAMERAS, Subscriber, make_daemon, render_crowd
from tests.chaos.health import Health
from tests.chaos.leftovers import Leftovers
from tests.chaos.outside import CAMERA_FAULTS, Broker, NotifyService
from tests.chaos.reconciliation import CHANNEL, read_journal
from tests.chaos.schedule import CALM, PHASE, Deck, make_schedule, spare_phases
from tests.chaos.starts import Starts
from tests.fakes.attacks.calls import Targets
from tests.fakes.faked_clock import FakedClock
from tests.fakes.hostile_peers import PEERS, connected
from tests.fakes.journaling_worker import journal_environment
from tests.fakes.waiting import wait_until

_POLL_INTERVAL = 0.4
_MAX_PHASE = 60.0
_MAX_CALM = 90.0
_HOURS = (*range(-12, 0), *range(1, 13))
TAKEN_OVER = CAMERAS[1]
_OPENED = re.compile(r"violation opened violation=(\S+)")


class Storm:
    """The environment, and the faults that are injected into it.

    Attributes:
        deck: deals the variants of the faults, and counts what was done.
        kills: how often a process was killed, by what it is.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.rng = folder, random.Random(seed)
        self.deck, self.kills = Deck(self.rng), Counter[str]()
        clip, self.truth = render_crowd(folder)
        self.server = RtspServer(seed=seed)
        self.server.__enter__()
        for number, name in enumerate(CAMERAS):
            self.server.add(name, clip, start="manual")
            self.server.play(name, after=2.3 * number)
        self.broker = Broker(folder / "broker")
        self.broker.start()
        self.subscriber = Subscriber(self.broker.port)
        self.service = NotifyService()
        self.disk = Disk(folder / "data")
        self.journal, self.attack, self.secret = folder / "journal", folder / "attack", folder / "key"
        self.journal.touch()
        self.secret.write_text("what-signs-requests")
        self.clock = FakedClock(folder)
        self.clock.__enter__()
        self.leftovers = Leftovers(folder / "tmp")
        self.daemon = make_daemon(
            folder, self.server, self.broker, self._environment(), people=self._people()
        )
        self.starts = Starts(self.daemon, self.disk, self.secret)
        self.health = Health(self.daemon)
        self._hours = self.rng.sample(_HOURS, len(_HOURS))
        self._repairs: list[tuple[float, Callable[[], None]]] = []
        self.begun = time.monotonic()
        self.took = 0.0

    def _environment(self) -> dict[str, str]:
        """Return that of the daemon: journaling workers that an attack may take over."""
        database = self.folder / "data" / "maskwatch.db"
        targets = Targets(
            victims=(os.getpid(),),
            file=str(database),
            folder=str(database.parent),
            unix=str(self.folder / "run" / CONTROL_SOCKET),
            tcp=self.broker.port,
            udp=53,
        )
        return {
            **journal_environment(self.journal),
            **self.clock.env,
            **self.leftovers.env,
            "MASKWATCH_TEST_WORKER": "tests.chaos.worker",
            "MASKWATCH_TEST_ATTACK": str(self.attack),
            "MASKWATCH_TEST_OTHER": next(name for name in CAMERAS if name != TAKEN_OVER),
            "MASKWATCH_TEST_TARGETS": msgspec.json.encode(targets).decode(),
        }

    def _people(self) -> str:
        address = f"http://127.0.0.1:{self.service.port}/"
        return (
            f"people: [{{name: {CHANNEL}, webhook: '{address}', key: 'file:{self.secret}',"
            " incidents: false, burst: 1, digest: 4}]"
        )

    # -- faults --------------------------------------------------------------------------------

    def inject(self, kind: str) -> bool:
        """Inject one fault of the schedule; count it if there was something to inject it into."""
        variant = self.deck.next(kind)
        fault = getattr(self, "_" + kind.replace(" ", "_"))
        if fault(variant) if variant else fault():
            self.deck.count(kind, variant)
            return True
        return False

    def _kill(self, what: str, pid: int) -> bool:
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGKILL)
                self.kills[what] += 1
                return True
        return False

    def _worker(self) -> bool:
        return self._kill("worker", self.health.pids.get(self.rng.choice(CAMERAS), 0))

    def _recorder(self) -> bool:
        return self._kill("recorder", self.health.pids.get("recorder", 0))

    def _supervisor(self) -> bool:
        return self._end_supervisor() and self._start_supervisor()

    def _end_supervisor(self) -> bool:
        if not self.health.pids:
            return False
        self.health.pids = {}
        killed = self._kill("supervisor", self.daemon.process.pid)
        self.daemon.process.wait()
        return killed

    def _start_supervisor(self) -> bool:
        self.daemon.start()
        return True

    def _start_up(self, point: str) -> bool:
        """Kill the supervisor, and the next one at a point of its life."""
        if not self._end_supervisor():
            return False
        reached = self.starts.die(point, self.rng.uniform(0, 2.5), self._repair)
        self.kills["supervisor"] += reached
        return self._start_supervisor() and reached

    def _missing_at_start(self, what: str) -> bool:
        """Kill the supervisor; something that the next one needs comes later."""
        if not self._end_supervisor():
            return False
        self._later(self.rng.uniform(1, 4), self.starts.without(what))
        return True

    def _hostile_worker(self, attack: str) -> bool:
        """Have a camera's next worker taken over, for some seconds."""
        if self.attack.exists() or not self._kill("worker", self.health.pids.get(TAKEN_OVER, 0)):
            return False
        self.attack.write_text(attack)
        self._later(self.rng.uniform(3, 6), self._end_attack)
        return True

    def _end_attack(self) -> None:
        """Replace the worker that was taken over, once it is known which one that is."""
        if self.attack.exists() or not self._kill("worker", self.health.pids.get(TAKEN_OVER, 0)):
            self._later(1, self._end_attack)

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
                    killed = self._kill_one_of_two(pid)
                    os.kill(pid, signal.SIGCONT)
                    return killed
                time.sleep(0.05)
            os.kill(pid, signal.SIGCONT)
        return False

    def _kill_one_of_two(self, recorder: int) -> bool:
        if self.deck.dealt["inside record"].total() % 2:
            return self._kill("worker", self.health.pids.get(self.rng.choice(CAMERAS), 0))
        return self._kill("recorder", recorder)

    def _log_from(self, offset: int) -> str:
        with self.daemon.log_file.open("rb") as file:
            file.seek(offset)
            return file.read().decode(errors="replace")

    def _acknowledged(self) -> set[tuple[str, int]]:
        return read_journal(self.journal)

    def _camera(self, fault: str) -> bool:
        name = self.rng.choice(CAMERAS)
        faults = self.server.faults(name)
        setattr(faults, fault, CAMERA_FAULTS[fault])
        if fault == "close":
            self.server.disconnect(name)
        self._later(self.rng.uniform(1, 5), faults.clear)
        return True

    def _broker(self, fault: str) -> bool:
        if self.broker.fault:
            return False
        self.subscriber.close()  # its library does not survive the garbage of a stubborn broker
        self.broker.fail(fault)
        self._later(self.rng.uniform(0.5, 6), self._repair_broker)
        return True

    def _repair_broker(self) -> None:
        self.broker.repair()
        self.subscriber.connect()

    def _notify_service(self, fault: str) -> bool:
        if self.service.fault:
            return False
        self.service.fail(fault)
        self._later(self.rng.uniform(2, 8), self.service.repair)
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

    def _peer(self, name: str) -> bool:
        """Have a hostile peer connect to the recorder's and to the control socket."""
        reached = False
        for sock in ("recorder.sock", CONTROL_SOCKET):
            with (
                contextlib.suppress(OSError),  # its process is being restarted
                connected(PEERS[name], self.daemon.runtime / sock),
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
        left: list[str] = []
        for phase in make_schedule(self.rng, duration):
            left = self._run_phase(left, phase)
            self._calm()
        for _ in range(spare_phases(duration)):
            if left:
                left = self._run_phase(left, [])
                self._calm()
        self.took = time.monotonic() - self.begun

    def _run_phase(self, due: list[str], phase: list[tuple[float, str]]) -> list[str]:
        """Inject what is due and the faults of a phase; one that finds no target is retried.

        Return those for which there was no time.
        """
        begun, scheduled = time.monotonic(), list(phase)
        while (now := time.monotonic() - begun) < PHASE or (due and now < _MAX_PHASE):
            self._poll()
            while scheduled and scheduled[0][0] <= now:
                due.append(scheduled.pop(0)[1])
            for kind in sorted(set(due)):
                if self.inject(kind):
                    due.remove(kind)
            time.sleep(_POLL_INTERVAL)
        return due + [kind for _, kind in scheduled]

    def _calm(self) -> None:
        """Repair everything, and wait until every camera was live without a break for `CALM` seconds."""
        self._repair_all()
        until, live_since = time.monotonic() + _MAX_CALM, time.monotonic()
        while (now := time.monotonic()) < until and now - live_since < CALM:
            if not self._poll():
                live_since = time.monotonic()
            time.sleep(_POLL_INTERVAL)

    def _poll(self) -> bool:
        self._repair()
        return self.health.poll()

    def _repair(self, until: float | None = None) -> None:
        """Repair what is due now, or at a later moment `until`."""
        until = time.monotonic() if until is None else until
        for at, repair in list(self._repairs):
            if at <= until:
                self._repairs.remove((at, repair))
                repair()

    def _repair_all(self) -> None:
        self._repair(math.inf)

    def heal(self) -> None:
        """Repair everything, wait until all alerts are delivered, and stop the daemon."""
        self._repair_all()
        wait_until(self._poll, 180, "every camera is live after the storm")
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
        self.service.close()
        self.broker.stop()
        self.server.__exit__(None, None, None)

    def abandon(self) -> None:
        """Kill what would outlive this process."""
        self.daemon.process.kill()
        self.broker.close_other()
        self.broker.stop()
        self.clock.__exit__(None, None, None)

    def _drained(self) -> bool:
        with contextlib.suppress(OSError, StopIteration):
            waiting = self.daemon.metric("maskwatch_outbox_pending")
            return waiting == 0 and self.daemon.metric("maskwatch_violations_open") == 0
        return False

    # -- results -------------------------------------------------------------------------------

    def in_true_time(self, reported: list[ReportedVisit]) -> list[ReportedVisit]:
        """Return the visits with the moments at which the jumping clock shows what was stored."""
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
