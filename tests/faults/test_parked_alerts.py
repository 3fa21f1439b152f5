"""Refused alerts are shown with the reason, and delivered once an operator retries them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.mqtt_alerts import alert, alerts_of, violation_topic
from tests.fakes.quick_daemon import QuickDaemon, wait_started
from tests.fakes.samples import change
from tests.fakes.thrifty_recorder import policy_environment
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

CAMERAS = "\n".join(
    f"  - {{name: {name}, url: 'rtsp://127.0.0.1:1/', enabled: false}}" for name in ("door", "yard")
)
DOOR = [alert(index, number) for index in (0, 1) for number in (1, 2)]


def parked(daemon: QuickDaemon, **labels: str) -> float:
    return daemon.metric("maskwatch_outbox_parked_reasons", sink="mqtt", **labels)


@pytest.mark.long
@pytest.mark.parametrize("daemon_runs", [True, pytest.param(False, marks=pytest.mark.sweep)])
def test_parked_alerts_are_delivered_in_order_once_they_are_retried(
    tmp_path: Path, daemon_runs: bool
) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic readwrite #\ntopic deny {violation_topic('door')}\n")
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(tmp_path, ["allow_anonymous true", f"acl_file {rules}"]))
        environment = policy_environment(max_strikes=1, failing_for=0)
        daemon = stack.enter_context(
            QuickDaemon(tmp_path, CAMERAS, f"mqtt: {{port: {broker.port}}}", environment)
        )
        wait_started(daemon)
        listener = stack.enter_context(Listener(broker.port))
        with daemon.connect_worker("door") as door, daemon.connect_worker("yard") as yard:
            for index in (0, 1):
                door.send(change(index))
                door.send(change(index, 2, closed=True))
            door.wait(4)
            for index in range(10, 16):
                yard.send(change(index, camera="yard", closed=True))
                yard.wait(index - 9)
        wait_until(lambda: parked(daemon) == len(DOOR), 60, "the alerts of the door are parked")
        assert (parked(daemon, reason="refused"), parked(daemon, reason="behind")) == (2, 2)
        assert "4 parked (not authorized (code 135))" in daemon.run("status").stdout
        shown = daemon.run("alerts retry", "--dry-run", "--json")
        assert json.loads(shown.stdout) == {
            "dry_run": True,
            "parked": {"mqtt": {"refused": 2, "behind": 2}},
        }
        rules.write_text("topic readwrite #\n")
        broker.reload()
        if not daemon_runs:
            assert daemon.stop() == 0
        done = daemon.run("alerts retry", "--sink", "mqtt", "--since", "1d")
        assert (done.returncode, done.stdout) == (0, "mqtt: 4 alerts retried\n"), done.stderr
        if not daemon_runs:
            daemon.start()
            wait_started(daemon)
        listener.wait(lambda _: len(alerts_of(listener)) == len(DOOR), 60)
        assert sorted(alerts_of(listener)) == DOOR
        assert [number for violation, number in alerts_of(listener) if violation == DOOR[0][0]] == [1, 2]
        wait_until(lambda: parked(daemon) == 0, 30, "none is parked")
        assert "put back by cli" in daemon.run("events show", DOOR[0][0]).stdout or daemon_runs
        assert "put back by root" in daemon.run("events show", DOOR[0][0]).stdout or not daemon_runs
        assert "no such alert is parked" in daemon.run("alerts retry").stdout
        assert daemon.stop() == 0
