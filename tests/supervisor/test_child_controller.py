"""Which children run, and with which configuration: at the start, by commands, after a reload."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec.structs import replace

from maskwatch.config.diff import difference
from maskwatch.config.schema import Config, LogConfig
from maskwatch.ipc.messages import Configure, Ready, Stop
from maskwatch.supervisor.child import Phase
from tests.fakes.child_process import ChildrenHarness, config_with_cameras


class Harness(ChildrenHarness):
    """Children whose processes end in order."""

    def start(self) -> None:
        self.controller.start_recorder()
        self.controller.start_workers()
        self.advance(2)

    def reload(self, config: Config) -> None:
        """Apply a configuration, and wait until the children have followed."""
        changes = difference(self.children.config, config)
        self.controller.apply(changes, config)
        self.obey_stops()
        self.advance(1)
        assert self.controller.settled(changes)

    def obey_stops(self) -> None:
        """End every process that has been asked to."""
        for process in self.spawner.processes:
            if process.code is None and any(isinstance(m, Stop) for m in process.received()):
                process.end(0)

    def starts_by_camera(self) -> dict[str, int]:
        return {name: self.starts().count(name) for name in self.children.workers}


@pytest.fixture
def harness() -> Iterator[Harness]:
    with closing(Harness(config_with_cameras("a", "b"))) as made:
        yield made


def test_the_workers_of_all_cameras_are_started_one_after_the_other(harness: Harness) -> None:
    harness.controller.start_recorder()
    harness.controller.start_workers()
    harness.tick()
    assert not harness.children.all_started
    harness.advance(1)
    assert harness.children.all_started
    assert harness.starts_by_camera() == {"a": 1, "b": 1}


def test_the_workers_of_reachable_cameras_are_started_first() -> None:
    with closing(Harness(config_with_cameras("a", "b", "c", "d"))) as harness:
        harness.controller.start_workers(first={"d", "b"})
        while not harness.children.all_started:
            harness.advance(1)
            harness.spawner.newest.send(Ready())
            harness.receive(harness.starts()[-1])
        assert harness.starts() == ["b", "d", "a", "c"]


def test_no_more_than_a_few_workers_are_starting_at_one_time() -> None:
    with closing(Harness(config_with_cameras(*"abcdef"))) as harness:
        harness.controller.start_workers()
        harness.advance(5)
        assert harness.starts() == ["a", "b", "c"]
        assert not harness.children.all_started
        harness.spawner.processes[1].send(Ready())
        harness.receive("b")
        harness.advance(5)
        assert harness.starts() == ["a", "b", "c", "d"]
        harness.spawner.processes[0].end(1)  # it fails, and waits for its turn behind the others
        harness.advance(5)
        assert harness.starts() == ["a", "b", "c", "d", "e"]


def test_each_child_is_given_its_own_secrets_and_no_others(harness: Harness) -> None:
    harness.start()
    for process in harness.spawner.processes:
        config = process.configure.config
        passwords = repr([camera.password.reveal() for camera in config.cameras])
        camera = process.configure.camera
        assert ("a-password" in passwords) == (camera == "a")
        assert ("b-password" in passwords) == (camera == "b")
        assert (config.mqtt.password.reveal() == "broker-password") == (camera == "")


def test_a_change_of_one_camera_does_not_affect_the_other(harness: Harness) -> None:
    harness.start()
    new = config_with_cameras("a", "b")
    harness.reload(replace(new, cameras=(replace(new.cameras[0], rate=2.0), new.cameras[1])))
    assert harness.starts_by_camera() == {"a": 2, "b": 1}
    assert harness.spawner.newest.configure.config.cameras[0].rate == 2.0


def test_a_removed_camera_ends_and_is_forgotten(harness: Harness) -> None:
    harness.start()
    harness.reload(config_with_cameras("b"))
    assert harness.events.removed_cameras == ["a"]
    assert harness.starts_by_camera() == {"b": 1}


def test_a_removed_camera_that_had_no_process_is_forgotten_too(harness: Harness) -> None:
    harness.spawner.refuses = True
    harness.start()
    harness.reload(config_with_cameras("b"))
    assert harness.events.removed_cameras == ["a"]


def test_a_camera_added_again_while_its_worker_ends_is_not_forgotten(harness: Harness) -> None:
    harness.start()
    for config in (config_with_cameras("b"), config_with_cameras("a", "b")):
        harness.controller.apply(difference(harness.children.config, config), config)
    harness.obey_stops()
    harness.advance(1)
    assert harness.events.removed_cameras == []
    assert harness.events.ends == [], "the end of a superseded worker is not reported"
    assert harness.starts_by_camera() == {"a": 2, "b": 1}


def test_a_camera_disabled_by_a_command_stays_disabled_over_a_reload(harness: Harness) -> None:
    harness.start()
    assert harness.controller.switch("a", on=False) == ""
    harness.obey_stops()
    harness.advance(1)
    new = config_with_cameras("a", "b", "c")
    changed = replace(new.cameras[0], rate=2.0)
    harness.reload(replace(new, cameras=(changed, *new.cameras[1:])))
    assert harness.children.workers["a"].phase is Phase.IDLE
    assert harness.starts_by_camera() == {"a": 1, "b": 1, "c": 1}
    assert harness.controller.switch("a", on=True) == ""
    harness.advance(1)
    assert harness.starts_by_camera()["a"] == 2


def test_a_camera_disabled_for_a_while_is_started_again_by_itself(harness: Harness) -> None:
    harness.start()
    harness.controller.switch("a", on=False, seconds=30)
    harness.obey_stops()
    harness.advance(29)
    assert harness.starts_by_camera()["a"] == 1
    harness.advance(2)
    assert harness.starts_by_camera()["a"] == 2


def test_a_camera_that_cannot_be_switched_is_refused_with_the_reason(harness: Harness) -> None:
    harness.start()
    disabled = replace(config_with_cameras("a").cameras[0], enabled=False)
    harness.reload(replace(config_with_cameras("b"), cameras=(disabled,)))
    assert "disabled in the configuration" in harness.controller.switch("a", on=True)
    assert "no camera" in harness.controller.switch("z", on=True)


def test_a_reload_before_the_workers_start_changes_what_will_be_started(harness: Harness) -> None:
    harness.controller.start_recorder()
    harness.reload(config_with_cameras("b", "c"))
    harness.controller.start_workers()
    harness.advance(1)
    assert harness.starts_by_camera() == {"b": 1, "c": 1}


def test_a_change_of_the_log_is_sent_to_all_and_restarts_none(harness: Harness) -> None:
    harness.start()
    for process in harness.spawner.processes:
        process.send(Ready())
    before = len(harness.spawner.processes)
    new = config_with_cameras("a", "b", log=LogConfig(level="debug"))
    harness.controller.apply(difference(harness.children.config, new), new)
    messages = [message for process in harness.spawner.processes for message in process.received()]
    sent = [message for message in messages if isinstance(message, Configure)]
    assert len(sent) == 3
    assert all(message.config.log.level == "debug" for message in sent)
    assert len(harness.spawner.processes) == before
