"""Real daemons that change their name on the broker, or share one."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.mosquitto import Mosquitto
from tests.fakes.quick_daemon import QuickDaemon, wait_started
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(240)]

MQTT = "mqtt: {{port: {port}, home_assistant: {discovery}, topic_prefix: {prefix}}}"


def idle_camera(name: str) -> str:
    return f"  - {{name: {name}, url: 'rtsp://127.0.0.1:1/', enabled: false}}"


def kill_all(daemon: QuickDaemon) -> None:
    for pid in (daemon.process.pid, *daemon.children()):
        os.kill(pid, signal.SIGKILL)
    daemon.process.wait(10)


class HostDaemon(QuickDaemon):
    """A daemon on a machine of another name."""

    def command(self, verb: str, *arguments: str) -> list[str]:
        command = super().command(verb, *arguments)
        return ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', self.folder.name, *command]


@pytest.mark.sweep
def test_a_killed_daemon_clears_what_its_next_configuration_does_not_have(tmp_path: Path) -> None:
    def below(*beginnings: str) -> set[str]:
        return {topic for topic in broker.retained() if topic.startswith(beginnings)}

    with Mosquitto(tmp_path) as broker:
        mqtt = MQTT.format(port=broker.port, discovery="true", prefix="maskwatch")
        with QuickDaemon(tmp_path, idle_camera("door"), mqtt) as daemon:
            wait_until(lambda: "maskwatch/test/status" in broker.retained())
            assert below("homeassistant/")
            kill_all(daemon)
        mqtt = MQTT.format(port=broker.port, discovery="false", prefix="maskwatch")
        with QuickDaemon(tmp_path, idle_camera("door"), mqtt) as daemon:
            wait_until(lambda: not below("homeassistant/"))
            kept = below("maskwatch/test/")
            kill_all(daemon)
        mqtt = MQTT.format(port=broker.port, discovery="false", prefix="site")
        with QuickDaemon(tmp_path, idle_camera("door"), mqtt):
            wait_until(lambda: not below("maskwatch/"))
            wait_until(lambda: len(below("site/")) == len(kept))


def test_two_daemons_of_one_node_name_each_other_and_keep_both_topics(tmp_path: Path) -> None:
    hosts = ("attic", "cellar")
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(tmp_path))
        daemons = []
        for host in hosts:
            (tmp_path / host).mkdir()
            mqtt = f"mqtt: {{port: {broker.port}}}"
            daemon = HostDaemon(tmp_path / host, idle_camera(f"of-{host}"), mqtt)
            daemons.append(stack.enter_context(daemon))
            wait_started(daemon)
        for daemon, other in zip(daemons, reversed(hosts), strict=True):
            known = f"another daemon, on host {other}, uses the node 'test'"
            wait_until(lambda daemon=daemon, known=known: known in daemon.log(), 60, known)
            wait_until(lambda daemon=daemon, known=known: known in daemon.run("status").stdout, 60)
        expected = {f"maskwatch/test/camera/of-{host}/state" for host in hosts}
        wait_until(lambda: expected <= set(broker.retained()))
