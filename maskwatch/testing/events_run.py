"""Runs the event evaluation: renders the scenes, replays them, judges what was reported."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from maskwatch.config.schema import CameraConfig, Config, ZoneConfig, ZoneRule
from maskwatch.domain import ChangeKind
from maskwatch.secrets import SecretUrl
from maskwatch.testing.events_eval import ClipOutcome, Reported, judge_clip
from maskwatch.testing.quiet import QuietPass, quiet_passes, write_pass
from maskwatch.testing.rules import Rules
from maskwatch.testing.scenes import Head, render, scene_named
from maskwatch.testing.scenes.kinds import KINDS
from maskwatch.testing.truth import Truth, truth_path
from maskwatch.worker.replay import Replay

__all__ = ["Plan", "Run", "camera_for", "plan", "replay_clip", "run_plan"]

_SIZE = (960, 540)
_FPS = 10.0
_RATE = 5.0
_QUICK = (
    "lone_bare",
    "lone_masked",
    "pair",
    "pillar",
    "mask_off",
    "poster_and_visitor",
    "infrared",
    "low_rate",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One clip to be made and judged: a scene of a kind and seed, or a quiet pass."""

    kind: str
    seed: int
    quiet: QuietPass | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, with which model, and where to keep the clips that went wrong."""

    runs: tuple[Run, ...]
    model: str = ""
    keep: Path | None = None


def plan(
    *,
    seeds: int = 5,
    quick: bool = False,
    kinds: Sequence[str] = (),
    footage: Sequence[Path] = (),
    quiet_seconds: float = 3600.0,
    model: str = "",
    keep: Path | None = None,
) -> Plan:
    """Return the runs of a full evaluation, or of a quick one: few kinds, one seed, no quiet hour.

    Raises UsageError for a kind that nobody knows.
    """
    names = kinds or (_QUICK if quick else tuple(KINDS))
    for name in names:
        scene_named(name)  # a name that nobody knows is refused before anything is rendered
    scenes = [Run(name, seed) for seed in range(1 if quick else seeds) for name in names]
    quiet = [] if quick else quiet_passes(footage, quiet_seconds)
    return Plan((*scenes, *(Run("quiet", one.seed, one) for one in quiet)), model, keep)


def camera_for(truth: Truth, clip: Path) -> CameraConfig:
    """Return how an operator would configure the clip's camera: screens ignored, 5 frames a second."""
    zones = tuple(
        ZoneConfig(name=f"screen {i + 1}", polygon=outline, rule=ZoneRule.IGNORED)
        for i, outline in enumerate(truth.ignore)
    )
    return CameraConfig(
        name=truth.name, url=SecretUrl(str(clip)), rate=min(_RATE, truth.rate), zones=zones
    )


def replay_clip(clip: Path, camera: CameraConfig, model: str = "") -> list[Reported]:
    """Return every violation that the pipeline opens on the clip."""
    config = Config(cameras=(camera,), model=model)
    return [
        Reported(step.moment, step.box)
        for step in Replay(clip, config, camera).changes()
        if step.change.kind is ChangeKind.OPENED
    ]


def run_plan(
    todo: Plan,
    faces: Sequence[Head],
    *,
    jobs: int | None = None,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[tuple[Run, ClipOutcome]]:
    """Give each run with its outcome, in the plan's order; `jobs` processes work at once."""
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1:
        _start(tuple(faces), todo.model, todo.keep)
        for number, run in enumerate(todo.runs, 1):
            yield run, _outcome(run)
            tell(number, len(todo.runs))
        return
    # A fresh interpreter for each: the model's and the encoder's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _start, (tuple(faces), todo.model, todo.keep)) as pool:
        for number, (run, outcome) in enumerate(
            zip(todo.runs, pool.map(_outcome, todo.runs), strict=True), 1
        ):
            yield run, outcome
            tell(number, len(todo.runs))


class _Bench:
    """What one process keeps between its runs."""

    faces: tuple[Head, ...] = ()
    model: str = ""
    keep: Path | None = None


def _start(faces: tuple[Head, ...], model: str, keep: Path | None = None) -> None:
    _Bench.faces, _Bench.model, _Bench.keep = faces, model, keep


def _outcome(run: Run) -> ClipOutcome:
    with tempfile.TemporaryDirectory(prefix="maskwatch-scene-") as folder:
        clip = Path(folder) / f"{run.kind}-{run.seed}.mp4"
        truth = _made(run, clip)
        reports = replay_clip(clip, camera_for(truth, clip), _Bench.model)
        outcome = judge_clip(truth, reports, Rules())
        if _Bench.keep is not None and outcome.wrong:
            _Bench.keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, _Bench.keep)
            truth.save(truth_path(_Bench.keep / clip.name))
    return msgspec.structs.replace(outcome, kind=run.kind)


def _made(run: Run, clip: Path) -> Truth:
    if run.quiet is not None:
        return write_pass(run.quiet, clip, _Bench.faces)
    scene = scene_named(run.kind, run.seed)
    return render(scene, clip, size=_SIZE, fps=_FPS, seed=run.seed, faces=_Bench.faces)
