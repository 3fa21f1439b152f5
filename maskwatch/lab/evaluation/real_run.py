"""Replays recorded clips whose events a person wrote down, and judges the reports."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from maskwatch.config.schema import Config
from maskwatch.errors import UsageError
from maskwatch.lab.evaluation.real_clips import EXPECTED_FILE, ExpectedClip, ExpectedPerson, Rule
from maskwatch.lab.evaluation.real_events import (
    Judging,
    RealFigures,
    RealOutcome,
    TrackedReport,
    judge_real,
    owner_of,
    total,
)
from maskwatch.lab.evaluation.real_timeline import PersonMoment, Reason, Timeline, explain
from maskwatch.lab.evaluation.real_tracks import CROWD, TrackFigures, track_figures, tracks_of
from maskwatch.replay.replay import Replay, choose_camera, default_config

_LATE = 1.5
"""Seconds of delay from which a report is explained like a miss."""


@dataclass(frozen=True, slots=True)
class RealResult:
    """One clip's outcome, with what it takes to explain and to draw it.

    Attributes:
        moments: what the pipeline made of each person, by id.
        reasons: why somebody was reported late or not at all, by id.
    """

    name: str
    clip: ExpectedClip
    seconds: float
    outcome: RealOutcome
    reports: tuple[TrackedReport, ...]
    moments: Mapping[str, Sequence[PersonMoment]]
    judging: Judging
    reasons: Mapping[str, Reason] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        done = self.outcome
        counts = f"{len(done.found)} of {len(done.due)} found"
        return f"{counts}, {len(done.duplicates)} reported again, {len(done.false)} false"

    def reports_of(self, person: ExpectedPerson) -> list[float]:
        """Return the seconds of all reports about a person, whatever they count as."""
        tolerance = self.judging.tolerance
        return [r.at for r in self.reports if owner_of(self.clip, r, tolerance) is person]

    def note_of(self, person: ExpectedPerson) -> str:
        """Return in a few words what became of a person; "" where there is nothing to say."""
        if person.id in self.outcome.missed:
            reason = self.reasons.get(person.id)
            return f"missed ({reason.part.value}: {reason.detail})" if reason else "missed"
        if person.rule is Rule.REQUIRED:
            return f"reported after {self.outcome.delays[person.id]:.1f} s"
        return ""


class ClipReport(RealOutcome, frozen=True, kw_only=True):
    """An outcome with the reasons of misses and of late reports, by id."""

    reasons: dict[str, Reason]


class RealReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report as JSON.

    Attributes:
        absent: names of expected clips that are not in the folder.
        tracks, crowds: whether one person is one track: in all clips, and in those of a crowd.
    """

    command: str
    clips: dict[str, ClipReport]
    absent: tuple[str, ...]
    total: RealFigures
    tracks: TrackFigures
    crowds: TrackFigures


def choose_clips(
    folder: Path, expected: Mapping[str, ExpectedClip], names: Sequence[str]
) -> tuple[dict[str, ExpectedClip], list[str]]:
    """Return the clips to evaluate (all, or those `names`), and the names of absent files.

    Raises UsageError where a name is unknown, or no clip is there.
    """
    unknown = [name for name in names if name not in expected]
    if unknown:
        raise UsageError(
            f"{folder / EXPECTED_FILE} has no clip {unknown[0]!r}; it has {', '.join(expected)}"
        )
    chosen = {name: clip for name, clip in expected.items() if not names or name in names}
    absent = [name for name in chosen if not (folder / name).is_file()]
    if len(absent) == len(chosen):
        raise UsageError(f"{folder}: none of the {len(chosen)} clips of {EXPECTED_FILE} is there")
    return {name: clip for name, clip in chosen.items() if name not in absent}, absent


def run_real(
    folder: Path,
    clips: Mapping[str, ExpectedClip],
    judging: Judging,
    *,
    config: Config | None = None,
    camera: str | None = None,
    jobs: int | None = None,
    on_progress: Callable[[int, int, str], None] = lambda _done, _total, _name: None,
) -> Iterator[RealResult]:
    """Yield the result of each clip in their order, evaluated by `jobs` processes.

    Without a configuration all settings are the defaults. `on_progress` gets the number of finished
    clips, of all, and the name of the last.
    """
    jobs = min(jobs or os.cpu_count() or 1, len(clips))
    evaluate = partial(_evaluate, folder, judging, config, camera)
    if jobs == 1:
        yield from _with_progress(map(evaluate, clips.items()), len(clips), on_progress)
        return
    # A fresh interpreter for each: the model's and the decoder's threads do not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn) as pool:
        yield from _with_progress(pool.map(evaluate, clips.items()), len(clips), on_progress)


def report_of(results: Sequence[RealResult], absent: Sequence[str], command: str) -> RealReport:
    """Return the report over all clips."""
    fields = RealOutcome.__struct_fields__
    tracks = [tracks_of(result.moments) for result in results]
    return RealReport(
        command=command,
        clips={
            result.name: ClipReport(
                reasons=dict(result.reasons),
                **{name: getattr(result.outcome, name) for name in fields},
            )
            for result in results
        },
        absent=tuple(absent),
        total=total([result.outcome for result in results]),
        tracks=track_figures(tracks),
        crowds=track_figures(clip for clip in tracks if len(clip) >= CROWD),
    )


def _with_progress(
    results: Iterator[RealResult], of: int, on_progress: Callable[[int, int, str], None]
) -> Iterator[RealResult]:
    for number, result in enumerate(results, 1):
        on_progress(number, of, result.name)
        yield result


def _evaluate(
    folder: Path,
    judging: Judging,
    config: Config | None,
    camera: str | None,
    named: tuple[str, ExpectedClip],
) -> RealResult:
    name, clip = named
    config = config or default_config(folder / name)
    timeline, seconds = Timeline(clip), 0.0
    for step in Replay(folder / name, config, choose_camera(config, camera)):
        timeline.add(step)
        seconds = step.moment
    outcome = judge_real(clip, timeline.reports, judging)
    return RealResult(
        name=name,
        clip=clip,
        seconds=seconds,
        outcome=outcome,
        reports=tuple(timeline.reports),
        moments=timeline.moments,
        judging=judging,
        reasons=_reasons(clip, outcome, timeline, seconds),
    )


def _reasons(
    clip: ExpectedClip, outcome: RealOutcome, timeline: Timeline, seconds: float
) -> dict[str, Reason]:
    """Return why people were missed, or reported late."""
    return {
        person.id: explain(person, timeline.moments[person.id], outcome.found.get(person.id, seconds))
        for person in clip.people
        if person.id in outcome.missed or outcome.delays.get(person.id, 0.0) >= _LATE
    }
