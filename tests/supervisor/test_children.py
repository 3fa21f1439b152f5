"""Who is started, stopped and told what, when the configuration changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest

from maskwatch.clock import ManualClock
from maskwatch.config.diff import difference
from maskwatch.config.schema import CameraConfig, Config, LogConfig, MqttConfig
from maskwatch.ipc.messages import Configure, Ready, Stop, ToSupervisor
from maskwatch.secrets import Secret, SecretUrl
from maskwatch.supervisor.child import ManagedChild, Phase
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.timeouts import Timeouts
from tests.fakes.child_process import Nursery


@dataclass
class Events:
    """Notes what the family tells."""

    gone_names: list[str] = field(default_factory=list)

    def began(self, keeper: ManagedChild) -> None:
        pass

    def heard(self, keeper: ManagedChild, message: ToSupervisor) -> None:
        pass

    def changed(self, keeper: ManagedChild) -> None:
        pass

    def ended(self, keeper: ManagedChild, code: int, reason: str) -> None:
        pass

    def gone(self, keeper: ManagedChild) -> None:
        self.gone_names.append(keeper.kind.camera)


def config_of(*names: str, **changes: object) -> Config:
    cameras = tuple(
        CameraConfig(name=name, url=SecretUrl(f"rtsp://h/{name}"), password=Secret(f"{name}-password"))
        for name in names
    )
    mqtt = MqttConfig(password=Secret("broker-password"))
    return msgspec.structs.replace(Config(cameras=cameras, mqtt=mqtt), **changes)  # type: ignore[arg-type]  # fields of Config


class House:
    """A family of fake children."""

    def __init__(self, config: Config) -> None:
        self.nursery, self.events, self.clock = Nursery(), Events(), ManualClock()
        self.loop = asyncio.new_event_loop()
        self.family = ChildProcesses(
            config,
            self.events,
            self.loop,
            clock=self.clock,
            limits=Timeouts(),
            start_child=self.nursery,  # type: ignore[arg-type]  # a fake of the process
        )

    def passes(self, seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)
            self.family.reap()
            self.family.tick()

    def start(self) -> None:
        self.family.start_recorder()
        self.family.start_workers()
        self.passes(2)

    def goes_over_to(self, config: Config) -> None:
        changes = difference(self.family.config, config)
        self.family.apply(changes, config)
        self.end_the_told()
        self.passes(1)
        assert self.family.settled(changes)

    def end_the_told(self) -> None:
        """Have every child that was told to stop end, as a good one does."""
        for child in self.nursery.children:
            if child.code is None and any(isinstance(m, Stop) for m in child.heard()):
                child.ends(0)

    def pid_children(self) -> dict[str, int]:
        return {name: self.children_of(name) for name in self.family.workers}

    def children_of(self, name: str) -> int:
        return sum(child.configure.camera == name for child in self.nursery.children)

    def close(self) -> None:
        for keeper in self.family:
            self.family.unwatch(keeper)
        self.nursery.close()
        self.loop.close()


@pytest.fixture
def house() -> Iterator[House]:
    made = House(config_of("a", "b"))
    yield made
    made.close()


def test_every_camera_is_given_a_worker_one_after_the_other(house: House) -> None:
    house.family.start_recorder()
    house.family.start_workers()
    house.family.tick()
    assert not house.family.all_given
    house.passes(1)
    assert house.family.all_given
    assert house.pid_children() == {"a": 1, "b": 1}


def order_of(house: House) -> list[str]:
    """The cameras in the order in which they were given a worker."""
    return [child.configure.camera for child in house.nursery.children if child.configure.camera]


def test_cameras_that_answer_are_given_their_workers_first() -> None:
    house = House(config_of("a", "b", "c", "d"))
    house.family.start_workers(first={"d", "b"})
    while not house.family.all_given:
        house.passes(1)
        house.nursery.newest.says(Ready())
        house.family.workers[order_of(house)[-1]].receive(house.clock.monotonic())
    assert order_of(house) == ["b", "d", "a", "c"]
    house.close()


def test_no_more_than_a_few_workers_are_starting_at_one_time() -> None:
    house = House(config_of(*"abcdef"))
    house.family.start_workers()
    house.passes(5)
    assert order_of(house) == ["a", "b", "c"]
    assert not house.family.all_given
    house.nursery.children[1].says(Ready())
    house.family.workers["b"].receive(house.clock.monotonic())
    house.passes(5)
    assert order_of(house) == ["a", "b", "c", "d"]
    house.nursery.children[0].ends(1)  # it fails, and waits for its turn behind the others
    house.passes(5)
    assert order_of(house) == ["a", "b", "c", "d", "e"]
    house.close()


def test_each_child_is_given_its_own_secrets_and_no_others(house: House) -> None:
    house.start()
    for child in house.nursery.children:
        given = repr([c.password.reveal() for c in child.configure.config.cameras])
        broker = child.configure.config.mqtt.password.reveal()
        own = child.configure.camera
        assert ("a-password" in given) == (own == "a")
        assert ("b-password" in given) == (own == "b")
        assert (broker == "broker-password") == (own == "")


def test_a_change_of_one_camera_leaves_the_other_alone(house: House) -> None:
    house.start()
    new = config_of("a", "b")
    changed = msgspec.structs.replace(new.cameras[0], rate=2.0)
    house.goes_over_to(msgspec.structs.replace(new, cameras=(changed, new.cameras[1])))
    assert house.pid_children() == {"a": 2, "b": 1}


def test_a_removed_camera_ends_and_is_forgotten(house: House) -> None:
    house.start()
    house.goes_over_to(config_of("b"))
    assert house.events.gone_names == ["a"]
    assert house.pid_children() == {"b": 1}


def test_a_removed_camera_that_had_no_process_is_forgotten_too(house: House) -> None:
    house.nursery.refuses = True
    house.start()
    house.goes_over_to(config_of("b"))
    assert house.events.gone_names == ["a"]


def test_a_camera_disabled_by_a_command_stays_so_over_a_reload_of_others(house: House) -> None:
    house.start()
    assert house.family.switch("a", on=False) == ""
    house.end_the_told()
    house.passes(1)
    new = config_of("a", "b", "c")
    changed = msgspec.structs.replace(new.cameras[0], rate=2.0)
    house.goes_over_to(msgspec.structs.replace(new, cameras=(changed, *new.cameras[1:])))
    assert house.family.workers["a"].phase is Phase.IDLE
    assert house.pid_children() == {"a": 1, "b": 1, "c": 1}
    assert house.family.switch("a", on=True) == ""
    house.passes(1)
    assert house.pid_children()["a"] == 2


def test_a_camera_disabled_for_a_while_comes_back_by_itself(house: House) -> None:
    house.start()
    house.family.switch("a", on=False, seconds=30)
    house.end_the_told()
    house.passes(29)
    assert house.pid_children()["a"] == 1
    house.passes(2)
    assert house.pid_children()["a"] == 2


def test_what_cannot_be_switched_is_said(house: House) -> None:
    house.start()
    off = msgspec.structs.replace(config_of("a").cameras[0], enabled=False)
    house.goes_over_to(msgspec.structs.replace(config_of("b"), cameras=(off,)))
    assert "disabled in the configuration" in house.family.switch("a", on=True)
    assert "no camera" in house.family.switch("z", on=True)


def test_a_reload_before_the_workers_are_started_only_changes_what_will_be_started(
    house: House,
) -> None:
    house.family.start_recorder()
    house.goes_over_to(config_of("b", "c"))
    house.family.start_workers()
    house.passes(1)
    assert house.pid_children() == {"b": 1, "c": 1}


def test_a_change_of_the_log_is_told_to_all_and_restarts_nobody(house: House) -> None:
    house.start()
    for child in house.nursery.children:
        child.says(Ready())
    before = len(house.nursery.children)
    house.family.apply(
        difference(house.family.config, config_of("a", "b", log=LogConfig(level="debug"))),
        config_of("a", "b", log=LogConfig(level="debug")),
    )
    told = [m for child in house.nursery.children for m in child.heard() if isinstance(m, Configure)]
    assert len(told) == 3
    assert all(m.config.log.level == "debug" for m in told)
    assert len(house.nursery.children) == before


def test_children_are_not_killed_for_a_silence_in_which_this_process_stood_still_itself(
    house: House,
) -> None:
    house.start()
    for child in house.nursery.children:
        child.says(Ready())
    house.passes(5)
    house.clock.advance(Timeouts().heartbeat + Timeouts().ready)  # stopped, or starved
    house.family.tick()
    house.passes(5)
    assert not any(child.killed for child in house.nursery.children)


def test_a_child_silent_while_this_process_listens_is_killed_whatever_it_was_excused_before(
    house: House,
) -> None:
    house.start()
    for child in house.nursery.children:
        child.says(Ready())
    house.clock.advance(100.0)
    house.passes(Timeouts().ready + 2)  # none of them is heard to be ready
    assert house.nursery.children[0].killed
