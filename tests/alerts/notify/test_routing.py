"""Which alerts a channel selects, its quiet hours, and what makes a channel invalid."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from maskwatch.alerts.notify.routing import accepts, in_quiet_hours
from maskwatch.config.load import load
from maskwatch.config.schema import ChannelConfig
from maskwatch.domain import IncidentKind
from maskwatch.errors import ConfigError
from tests.fakes import samples
from tests.fakes.recorder_side import NOON
from tests.fakes.samples import incident

PASSWORD = "canary-token-42"
change = partial(samples.change, started=NOON)

# Apprise imports it on every Python that still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.mark.parametrize(
    ("start", "end", "hour", "quiet"),
    [
        ("22:00", "06:00", 23, True),
        ("22:00", "06:00", 6, False),
        ("12:00", "14:00", 13, True),
        ("12:00", "12:00", 12, False),
        ("", "", 3, False),
    ],
)
def test_quiet_hours_may_go_past_midnight(start: str, end: str, hour: int, quiet: bool) -> None:
    channel = ChannelConfig(name="a", quiet_start=start, quiet_end=end)
    assert in_quiet_hours(channel, datetime(2026, 3, 1, hour, tzinfo=UTC)) is quiet


def test_quiet_hours_are_local_and_follow_daylight_saving() -> None:
    channel = ChannelConfig(name="a", quiet_start="22:00", quiet_end="06:00", time_zone="Europe/Berlin")
    assert in_quiet_hours(channel, datetime(2026, 3, 28, 4, 30, tzinfo=UTC))  # 05:30 CET
    assert not in_quiet_hours(channel, datetime(2026, 3, 29, 4, 30, tzinfo=UTC))  # 06:30 CEST


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, {"opened", "incident"}),
        ({"ended": True}, {"opened", "closed", "incident"}),
        ({"violations": False}, {"incident"}),
        ({"incidents": False}, {"opened"}),
        ({"cameras": ("yard",)}, set()),
        ({"zones": ("hall",)}, {"opened", "incident"}),
        ({"zones": ("street",)}, {"incident"}),
    ],
)
def test_a_channel_accepts_what_its_filters_select(keys: dict[str, object], expected: set[str]) -> None:
    channel = ChannelConfig(name="a", **keys)
    subjects = {
        "opened": change(1),
        "updated": change(1, 2),
        "closed": change(1, 3, closed=True),
        "incident": incident(1),
    }
    assert {name for name, subject in subjects.items() if accepts(channel, subject)} == expected


def test_incidents_of_the_node_reach_every_channel() -> None:
    disk = replace(incident(1), camera="", kind=IncidentKind.DISK)
    assert accepts(ChannelConfig(name="a", cameras=("yard",)), disk)


def test_the_documented_configuration_is_valid(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (root / "docs/alerts.md").read_text(), re.DOTALL)
    people = "".join(blocks)
    for name in re.findall(r"\$\{(\w+)\}", people):
        monkeypatch.setenv(name, "a secret for tests of thirty-two characters")
    path = tmp_path / "config.yaml"
    path.write_text("cameras: [{name: door, url: 'rtsp://x/1'}]\n" + people)
    loaded = load(path)
    assert [channel.name for channel in loaded.people] == ["guards", "manager", "ticket-system"]
    assert loaded.links.enabled


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("url: a, webhook: 'http://x', key: k", "`url` and `webhook` exclude each other"),
        ("webhook: 'ftp://x', key: k", "not an http:// or https:// address"),
        ("webhook: 'http://x'", "needs a key to sign with"),
        ("url: a, quiet_start: '22:00'", "need each other"),
        ("url: a, cameras: [dor]", "'dor' is not a camera of this file"),
        ("url: a, title: '{camra}'", "{camra} is not known"),
        ("url: a, time_zone: Europe/Berlino", "no time zone"),
        ("url: a, quiet_start: '25:00', quiet_end: '06:00'", "a time such as 22:00"),
    ],
)
def test_an_invalid_channel_is_reported_at_its_key(tmp_path: Path, keys: str, words: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"cameras: [{{name: door, url: 'rtsp://x/1'}}]\npeople: [{{name: g, {keys}}}]\n")
    with pytest.raises(ConfigError) as wrong:
        load(path)
    assert words in str(wrong.value)
    assert "people[0]" in str(wrong.value)
