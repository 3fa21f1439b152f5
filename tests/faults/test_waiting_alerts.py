"""What waits (for an acknowledgement, for the morning, for a repair) is delivered, once and in order."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.faked_clock import FakedClock
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.mqtt_alerts import alert, alerts_of, violation_topic
from tests.fakes.quick_daemon import IDLE_CAMERA, KEY, QuickDaemon, channel, wait_started
from tests.fakes.samples import change, large_change
from tests.fakes.thrifty_recorder import policy_environment
from tests.fakes.waiting import wait_until
from tests.fakes.web_peer import WebPeer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

MANAGER = {"sink": "people-manager"}
QUICK = {"restart_budget": 1000, "max_backoff": 0.5, "initial_backoff": 0.1, "recorder_start": 0.1}
MORE_CAMERAS = "\n".join(
    f"  - {{name: {name}, url: 'rtsp://127.0.0.1:1/', enabled: false}}" for name in ("door", "yard")
)


@pytest.fixture
def manager() -> Iterator[WebPeer]:
    peer = WebPeer()
    yield peer
    peer.close()


def people(peer: WebPeer, **keys: object) -> str:
    return f"mqtt: {{enabled: false}}\npeople: [{channel('manager', peer.port, **keys)}]"


def quiet(now: datetime, begin: float, end: float) -> dict[str, str]:
    """Return quiet hours from `begin` to `end`, in hours from now."""
    names = {"quiet_start": begin, "quiet_end": end}
    return {name: f"'{now + timedelta(hours=hours):%H:%M}'" for name, hours in names.items()}


def received(peer: WebPeer) -> list[tuple[str, int]]:
    alerts = [alert for request in peer.taken() for alert in json.loads(request.body)["alerts"]]
    return [(alert["id"], alert["number"]) for alert in alerts]


def record(daemon: QuickDaemon, *indexes: int, started: datetime) -> None:
    with daemon.connect_worker("door") as worker:
        for index in indexes:
            worker.send(change(index, started=started))
        assert all(each.stored for each in worker.wait(len(indexes)))


def kill_recorder(daemon: QuickDaemon) -> None:
    """Kill the recorder, and wait for the next one."""
    pid = daemon.status().recorder.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: daemon.status().recorder.pid not in {pid, None}, 60, "it is replaced")
    wait_started(daemon)


def reload(daemon: QuickDaemon, old: str, new: str) -> None:
    text = daemon.config.read_text()
    assert old in text
    daemon.config.write_text(text.replace(old, new))
    done = daemon.run("reload")
    assert done.returncode == 0, done.stderr


def settled(daemon: QuickDaemon) -> bool:
    return not daemon.metric("maskwatch_outbox_pending", **MANAGER)


@pytest.mark.long
def test_what_became_due_while_the_daemon_was_away_is_sent_once(
    tmp_path: Path, manager: WebPeer
) -> None:
    with FakedClock(tmp_path) as clock:
        more = people(manager, unacknowledged_for=3600)
        with QuickDaemon(tmp_path, IDLE_CAMERA, more, KEY | clock.env) as daemon:
            wait_started(daemon)
            record(daemon, 1, 2, started=datetime.now(UTC))
            acknowledged, unacknowledged = alert(1), alert(2)
            assert daemon.run("events ack", acknowledged[0]).returncode == 0
            time.sleep(2)
            assert manager.taken() == []
            daemon.process.kill()
            daemon.process.wait(20)
            clock.jump_to(5 * 3600)
            daemon.start()
            wait_started(daemon)
            wait_until(lambda: received(manager) == [unacknowledged], 60, "the manager is notified")
            kill_recorder(daemon)
            wait_until(lambda: settled(daemon), 30, "nothing is pending")
            assert received(manager) == [unacknowledged]
            shown = daemon.run("events show", acknowledged[0]).stdout
            assert "acknowledged meanwhile, so not sent" in shown
            assert daemon.stop() == 0


@pytest.mark.long
def test_restarts_and_reloads_at_night_lose_nothing_that_waits(tmp_path: Path, manager: WebPeer) -> None:
    now = datetime.now(UTC)
    with FakedClock(tmp_path) as clock:
        day, night = quiet(now, 6, 7), quiet(now, -1, 4)
        more = people(manager, unacknowledged_for=60, burst=1, digest=1, **day)
        with QuickDaemon(tmp_path, IDLE_CAMERA, more, KEY | clock.env, **QUICK) as daemon:
            wait_started(daemon)
            for old, new in zip(day.values(), night.values(), strict=True):
                daemon.config.write_text(daemon.config.read_text().replace(old, new))
            record(daemon, 1, started=now)  # held by day, and due at night
            assert daemon.run("reload").returncode == 0
            clock.jump_to(1800)
            record(daemon, 2, started=now + timedelta(seconds=1800))
            kill_recorder(daemon)
            reload(daemon, "unacknowledged_for: 60,", "unacknowledged_for: 90, ended: true,")
            clock.jump_to(3600)
            daemon.process.kill()
            daemon.process.wait(20)
            daemon.start()
            wait_started(daemon)
            time.sleep(2)
            assert manager.taken() == []
            clock.jump_to(5 * 3600)
            wait_until(lambda: len(received(manager)) == 2, 60, "both are sent in the morning")
            wait_until(lambda: settled(daemon), 30, "nothing is pending")
            assert sorted(received(manager)) == [alert(1), alert(2)]
            assert daemon.stop() == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "answer",
    [400, *(pytest.param(answer, marks=pytest.mark.sweep) for answer in (503, 422))],
)
def test_while_a_service_fails_for_everything_nothing_is_parked(
    tmp_path: Path, manager: WebPeer, answer: int
) -> None:
    manager.judge = lambda _: answer
    more = people(manager, unacknowledged_for=1, burst=99)
    impatient = policy_environment(longest_pause=1)
    with QuickDaemon(tmp_path, IDLE_CAMERA, more, KEY | impatient) as daemon:
        wait_started(daemon)
        record(daemon, *range(8), started=datetime.now(UTC))
        manager.wait(10, 60)
        kill_recorder(daemon)
        record(daemon, 8, started=datetime.now(UTC))
        manager.wait(15, 60)
        assert daemon.metric("maskwatch_outbox_parked", **MANAGER) == 0
        manager.judge = lambda _: 200
        wait_until(lambda: len(received(manager)) >= 9, 90, "all are delivered")
        wait_until(lambda: settled(daemon), 90, "nothing is pending")
        assert sorted(received(manager)) == [alert(index) for index in range(9)]
        assert daemon.metric("maskwatch_outbox_parked", **MANAGER) == 0
        assert daemon.stop() == 0


@pytest.mark.long
def test_a_reload_during_a_slow_request_does_not_send_it_twice(tmp_path: Path, manager: WebPeer) -> None:
    begun = time.monotonic()

    def slowly(_: object) -> int:
        time.sleep(max(0.0, 6 - (time.monotonic() - begun)))
        return 200

    with QuickDaemon(tmp_path, IDLE_CAMERA, people(manager, burst=9), KEY) as daemon:
        wait_started(daemon)
        begun, manager.judge = time.monotonic(), slowly
        record(daemon, 1, 2, started=datetime.now(UTC))
        manager.wait(1, 20)
        reload(daemon, "burst: 9", "burst: 8")
        wait_until(lambda: len(received(manager)) >= 2, 60, "both are delivered")
        wait_until(lambda: settled(daemon), 30, "nothing is pending")
        assert sorted(received(manager)) == [alert(1), alert(2)]
        assert daemon.stop() == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "fault",
    [
        "access list",
        pytest.param("maximum packet size", marks=pytest.mark.sweep),
    ],
)
def test_a_broker_set_up_wrongly_for_some_seconds_parks_nothing(tmp_path: Path, fault: str) -> None:
    """It refuses all alerts of the door; those of the yard pass."""
    rules = tmp_path / "acl"
    good, limit = "topic readwrite #\n", "max_packet_size 3000"
    if fault == "access list":
        refused, limit = change, ""
        rules.write_text(f"{good}topic deny {violation_topic('door')}\n")
    else:
        refused = large_change
        rules.write_text(good)
    total = 20
    with ExitStack() as stack:
        broker = stack.enter_context(
            Mosquitto(tmp_path, ["allow_anonymous true", f"acl_file {rules}", limit])
        )
        daemon = stack.enter_context(
            QuickDaemon(tmp_path, MORE_CAMERAS, f"mqtt: {{port: {broker.port}, window: 5}}")
        )
        wait_started(daemon)
        listener = stack.enter_context(Listener(broker.port))
        door, yard = (stack.enter_context(daemon.connect_worker(name)) for name in ("door", "yard"))
        for index in range(total):
            door.send(refused(index))
            door.send(change(index, 2, closed=True))
            yard.send(change(1000 + index, camera="yard"))
            yard.send(change(1000 + index, 2, camera="yard", closed=True))
        assert all(each.stored for each in door.wait(2 * total) + yard.wait(2 * total))
        listener.wait(lambda _: len(alerts_of(listener, "yard")) == 2 * total, 60)
        begun, more = time.monotonic(), 2000
        while time.monotonic() < begun + 9:
            yard.send(change(more, camera="yard", closed=True))
            more += 1
            time.sleep(0.2)
        assert alerts_of(listener) == []
        assert daemon.metric("maskwatch_outbox_parked", sink="mqtt") == 0
        if fault == "access list":
            rules.write_text(good)
            broker.reload()
        else:
            broker.stop()
            broker.config.write_text(broker.config.read_text().replace(limit, ""))
            broker.start()
        expected = {alert(index, number) for index in range(total) for number in (1, 2)}
        listener.wait(lambda _: set(alerts_of(listener)) == expected, 90)
        arrived = alerts_of(listener)
        for index in range(total):
            numbers = [number for violation, number in arrived if violation == alert(index)[0]]
            assert numbers == sorted(numbers)
        wait_until(lambda: not daemon.metric("maskwatch_outbox_pending"), 30, "nothing is pending")
        assert daemon.metric("maskwatch_outbox_parked", sink="mqtt") == 0
        assert daemon.stop() == 0
