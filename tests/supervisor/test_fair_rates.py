"""Rates are lowered by one factor, only where that helps, and restored without flapping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from maskwatch.supervisor.fair_rates import CameraLoad, FairRates

Speed = Callable[[dict[str, float]], dict[str, float]]


@dataclass
class Camera:
    """A camera that costs `cost` processor seconds for each frame, and what its worker has done."""

    asked: float = 5.0
    cost: float = 0.1
    analysed: float = 0.0
    lost: float = 0.0
    cpu: float = 0.0
    waited: float = 0.0
    process: int = 1


@dataclass
class Machine:
    """A machine of `cores`, shared as a scheduler does; one camera uses one core at most."""

    cores: float
    cameras: dict[str, Camera]
    rates: FairRates = field(default_factory=FairRates)
    now: float = 0.0
    changes: list[tuple[float, float]] = field(default_factory=list)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self._second()
            before = self.rates.factor
            self.rates.update([self._load(name) for name in self.cameras], self.now)
            if self.rates.factor != before:
                self.changes.append((self.now, self.rates.factor))

    def rate(self, name: str) -> float:
        return self.rates.rate(name, self.cameras[name].asked)

    def _second(self) -> None:
        self.now += 1
        wanted = {name: self.rate(name) * each.cost for name, each in self.cameras.items()}
        given = share_out(self.cores, wanted)
        short = sum(wanted.values()) > self.cores
        for name, each in self.cameras.items():
            frames = given[name] / each.cost
            each.analysed += frames
            each.lost += self.rate(name) - frames
            each.cpu += given[name]
            each.waited += 0.5 if short and given[name] > 0.1 else 0.0

    def _load(self, name: str) -> CameraLoad:
        each = self.cameras[name]
        return CameraLoad(
            name,
            each.process,
            each.asked,
            self.rate(name),
            round(each.analysed),
            round(each.lost),
            each.cpu,
            each.waited,
        )


def share_out(cores: float, wanted: dict[str, float]) -> dict[str, float]:
    """Give all the same share, but none more than it wants or than one core."""
    given: dict[str, float] = {}
    for name, want in sorted(wanted.items(), key=lambda item: item[1]):
        given[name] = min(want, 1.0, (cores - sum(given.values())) / (len(wanted) - len(given)))
    return given


def test_cameras_of_a_machine_that_keeps_up_keep_their_rates() -> None:
    machine = Machine(2, {"a": Camera(), "b": Camera()})
    machine.run(600)
    assert machine.changes == []
    assert machine.rate("a") == 5.0


def test_all_cameras_are_lowered_by_one_factor_until_the_machine_keeps_up() -> None:
    machine = Machine(1, {name: Camera(cost=0.1) for name in "abcd"})
    machine.run(120)
    rates = {machine.rate(name) for name in "abcd"}
    assert len(rates) == 1
    assert rates.pop() == pytest.approx(2.5, rel=0.3)


def test_different_rates_are_lowered_by_the_same_factor() -> None:
    machine = Machine(1, {"a": Camera(asked=10, cost=0.1), "b": Camera(asked=5, cost=0.2)})
    machine.run(120)
    assert machine.rate("a") == 2 * machine.rate("b") < 10


def test_one_busy_camera_costs_idle_ones_no_frame() -> None:
    cameras = {"busy": Camera(cost=0.5), **{name: Camera(cost=0.004) for name in "abc"}}
    machine = Machine(0.9, cameras)
    machine.run(200)
    assert machine.rate("busy") < 2.5
    assert {machine.rate(name) for name in "abc"} == {5.0}
    assert sum(cameras[name].lost for name in "abc") == pytest.approx(0, abs=1)


def test_a_light_camera_is_not_lowered_for_one_that_other_programs_starve() -> None:
    machine = Machine(0.06, {"starved": Camera(), "light": Camera(cost=0.004)})
    machine.run(100)
    assert machine.rate("starved") < 5
    assert machine.rate("light") == 5.0


def test_a_camera_too_heavy_for_one_core_lowers_no_other() -> None:
    machine = Machine(8, {"heavy": Camera(cost=0.5), "b": Camera(), "c": Camera()})
    machine.run(200)
    assert machine.rate("heavy") < 3
    assert machine.rate("b") == machine.rate("c") == 5.0


def test_a_camera_that_becomes_busy_joins_the_lowered_ones_at_their_factor() -> None:
    cameras = {"a": Camera(cost=0.5), "b": Camera(cost=0.004)}
    machine = Machine(1, cameras)
    machine.run(100)
    assert machine.rate("b") == 5.0
    cameras["b"].cost = 0.5
    machine.run(150)
    assert machine.rate("a") == machine.rate("b") < 2.5


def test_no_rate_falls_below_one_a_second_or_a_slower_asked_one() -> None:
    machine = Machine(0.05, {"a": Camera(), "slow": Camera(asked=0.5)})
    machine.run(900)
    assert (machine.rate("a"), machine.rate("slow")) == (1.0, 0.5)
    assert len(machine.changes) < 20  # at the floor, nothing changes any more


def test_rates_are_restored_when_there_is_room() -> None:
    machine = Machine(0.5, {"a": Camera(), "b": Camera()})
    machine.run(120)
    assert machine.rate("a") < 3.5
    machine.cores = 2
    machine.run(240)
    assert machine.rate("a") == machine.rate("b") == 5.0
    assert machine.rates.lowered == frozenset()


def test_rates_do_not_flap_on_a_machine_that_stays_too_slow() -> None:
    machine = Machine(0.5, {"a": Camera(), "b": Camera()})
    machine.run(4 * 3600)
    late = [moment for moment, _ in machine.changes if moment > 3 * 3600]
    assert len(late) <= 2 * 3600 / 600 + 2
    lost, due = machine.cameras["a"].lost, machine.cameras["a"].analysed + machine.cameras["a"].lost
    assert lost < 0.05 * due


def test_seconds_of_load_and_a_new_process_lower_nothing() -> None:
    cameras = {"a": Camera(), "b": Camera()}
    machine = Machine(2, cameras)
    for _ in range(20):
        machine.run(40)
        machine.cores = 0.5
        machine.run(2)
        machine.cores = 2
    assert machine.changes == []
    for number in range(20):  # each begins with the loading of its models
        cameras["a"] = Camera(process=number + 2, lost=40)
        machine.run(15)
    assert machine.changes == []
