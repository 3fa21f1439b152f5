"""Sinks can tell what somebody has acknowledged, whoever asked for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from maskwatch.domain import Snooze
from maskwatch.ipc.messages import Command
from maskwatch.recorder.commands import acknowledge
from maskwatch.recorder.current_state import CurrentState
from tests.fakes.samples import START, change, entry, make_store, violation_id


def test_an_acknowledged_violation_stands_as_such(tmp_path: Path) -> None:
    store, standing = make_store(tmp_path), CurrentState()
    store.record([entry(change(1))])
    for index, ok in ((1, True), (2, False)):
        command = Command(id="1", verb="acknowledge", target=str(violation_id(index)))
        assert acknowledge(store, command, standing).ok is ok
    store.close()
    assert standing.state().acknowledged == {violation_id(1)}


def test_the_first_acknowledgement_stands_and_a_second_one_is_told_so(tmp_path: Path) -> None:
    store, standing = make_store(tmp_path), CurrentState()
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
    done = acknowledge(store, Command(id="1", verb="acknowledge", target="nonsense"), CurrentState())
    store.close()
    assert not done.ok
    assert "is no violation's id" in done.detail


def test_only_the_newest_thousand_are_kept() -> None:
    standing = CurrentState()
    for index in range(1, 1102):
        standing.acknowledge(violation_id(index))
    kept = standing.state().acknowledged
    assert len(kept) == 1000
    assert violation_id(1101) in kept
    assert violation_id(101) not in kept


def test_what_nobody_acknowledged_is_known_of_this_run_and_of_the_one_before(tmp_path: Path) -> None:
    store, standing = make_store(tmp_path), CurrentState()
    for subject in (change(1), change(1, 2, closed=True), change(2), change(3)):
        store.record([entry(subject)])
        standing.subject(subject)
    store.acknowledge(violation_id(2), "cli")
    standing.acknowledge(violation_id(2))
    assert store.unacknowledged(START) == [change(1), change(3)]
    assert store.unacknowledged(START + timedelta(seconds=1)) == []
    assert list(standing.state().unacknowledged) == [change(1), change(3)]
    assert store.acknowledged_open() == [violation_id(2)]
    store.close()


def test_nobody_waits_for_notice_of_what_a_snooze_kept_from_everybody(tmp_path: Path) -> None:
    store, standing = make_store(tmp_path), CurrentState()
    for subject in (change(1), change(1, 2, closed=True), change(2)):
        store.record([replace(entry(subject), silent=True)])
        standing.subject(subject, silent=True)
    assert standing.state().unacknowledged == ()
    standing.snooze(Snooze("door"))
    store.end_snooze("door")
    assert standing.state().unacknowledged == (change(2),)
    assert store.unacknowledged(START) == [change(2)]
    store.close()
