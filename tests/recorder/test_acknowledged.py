"""Sinks can tell what somebody has acknowledged, whoever asked for it."""

from __future__ import annotations

from pathlib import Path

from maskwatch.ipc.messages import Command
from maskwatch.recorder.commands import acknowledge
from maskwatch.recorder.standing import Standing
from tests.store.samples import change, entry, make_store, violation_id


def test_an_acknowledged_violation_stands_as_such(tmp_path: Path) -> None:
    store, standing = make_store(tmp_path), Standing()
    store.record([entry(change(1))])
    for index, ok in ((1, True), (2, False)):
        command = Command(id="1", verb="acknowledge", target=str(violation_id(index)))
        assert acknowledge(store, command, standing).ok is ok
    store.close()
    assert standing.state().acknowledged == {violation_id(1)}


def test_the_first_acknowledgement_stands_and_a_second_one_is_told_so(tmp_path: Path) -> None:
    store, standing = make_store(tmp_path), Standing()
    store.record([entry(change(1))])
    target = str(violation_id(1))
    first, second = (
        acknowledge(store, Command(id="1", verb="acknowledge", target=target, origin=who), standing)
        for who in ("cli", "link:guards")
    )
    store.close()
    assert first.detail == "acknowledged"
    assert second.ok
    assert second.detail.startswith("acknowledged before, at ")
    assert second.detail.endswith("by cli")


def test_what_is_no_id_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    done = acknowledge(store, Command(id="1", verb="acknowledge", target="nonsense"), Standing())
    store.close()
    assert not done.ok
    assert "is no violation's id" in done.detail


def test_only_the_newest_thousand_are_kept() -> None:
    standing = Standing()
    for index in range(1, 1102):
        standing.acknowledge(violation_id(index))
    kept = standing.state().acknowledged
    assert len(kept) == 1000
    assert violation_id(1101) in kept
    assert violation_id(101) not in kept
