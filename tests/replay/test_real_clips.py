"""The real clips give the events that were written down before the system ran on them.

`real_clips.toml` lists them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import ChangeKind
from maskwatch.replay.replay import Replay
from maskwatch.secrets import SecretUrl

pytestmark = [pytest.mark.shared, pytest.mark.timeout(600)]


class ExpectedEvent(msgspec.Struct, forbid_unknown_fields=True):
    """An event that must be reported: who, opened when (seconds), and where across the picture."""

    who: str
    opens: tuple[float, float]
    x: tuple[float, float]


class Clip(msgspec.Struct, forbid_unknown_fields=True):
    """The expected events of one clip."""

    file: str
    story: str
    required: list[ExpectedEvent]
    allowed: int
    allowed_opens: tuple[float, float] = (0.0, 1e9)


class OpenedEvent(NamedTuple):
    """An opened violation: second, and middle of the face across the picture (0 to 1)."""

    at: float
    x: float


_CLIPS = [
    msgspec.convert(entry, Clip)
    for entry in tomllib.loads((Path(__file__).parent / "real_clips.toml").read_text())["clip"]
]


def _opened(path: Path) -> list[OpenedEvent]:
    camera = CameraConfig(name="real", url=SecretUrl(str(path)))
    return [
        OpenedEvent(step.moment, step.change.violation.box.centre.x)
        for step in Replay(path, Config(cameras=(camera,)), camera).changes()
        if step.change.kind is ChangeKind.OPENED
    ]


def _faults(clip: Clip, seen: list[OpenedEvent]) -> tuple[list[str], list[OpenedEvent]]:
    """Return the people who were not reported, and the unexpected reports."""
    left, missed = sorted(seen), []
    for due in clip.required:
        fits = [
            one
            for one in left
            if due.opens[0] <= one.at <= due.opens[1] and due.x[0] <= one.x <= due.x[1]
        ]
        if fits:
            left.remove(fits[0])
        else:
            missed.append(due.who)
    first, last = clip.allowed_opens
    spare = [one for one in left if first <= one.at <= last][: clip.allowed]
    return missed, [one for one in left if one not in spare]


@pytest.mark.parametrize("clip", _CLIPS, ids=lambda clip: clip.file.removesuffix(".mp4"))
def test_a_real_clip_gives_the_expected_events(clip: Clip, shared_data: Path) -> None:
    """Everyone without a mask is reported, once, and no one else."""
    missed, unexpected = _faults(clip, _opened(shared_data / "videos" / clip.file))
    assert not missed, (clip.story, missed)
    assert not unexpected, (clip.story, unexpected)


def test_every_listed_clip_exists(shared_data: Path) -> None:
    assert {clip.file for clip in _CLIPS} <= {p.name for p in (shared_data / "videos").iterdir()}
