"""Runs the event evaluation: makes the clips, replays them, judges what was reported."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from maskwatch.analysis.build import build_detector
from maskwatch.analysis.pipeline import FaceDetecting
from maskwatch.config.schema import CameraConfig, Config, ZoneConfig, ZoneRule
from maskwatch.domain import Detection
from maskwatch.lab.evaluation.clip_cache import ClipCache
from maskwatch.lab.evaluation.events import ClipOutcome, judge_clip
from maskwatch.lab.evaluation.footage import Run, made, place_of
from maskwatch.lab.evaluation.negatives import quiet_passes
from maskwatch.lab.evaluation.portraits_choice import PortraitsChoice
from maskwatch.lab.evaluation.results import ClipResult, ResultCache, replay_fingerprint
from maskwatch.lab.evaluation.rules import Rules
from maskwatch.lab.evaluation.tracks import TrackEvaluation, TrackFindings
from maskwatch.lab.scenes import Head, scene_named
from maskwatch.lab.scenes.catalogue import KINDS
from maskwatch.lab.truth import Truth, truth_path
from maskwatch.replay.replay import Replay
from maskwatch.secrets import SecretUrl
from maskwatch.vision.manifest import default_manifest, read_manifest

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["RATE", "CachedDetector", "EvaluationPlan", "camera_for", "plan", "run_plan"]


class CachedDetector:
    """Answers as `detector` does; the same picture again is answered from memory."""

    def __init__(self, detector: FaceDetecting) -> None:
        self._detector = detector
        self._known: dict[tuple[tuple[int, ...], bytes], tuple[Detection, ...]] = {}

    def detect(self, image: Image) -> list[Detection]:
        """Return the faces in uint8 BGR (height, width, 3), in pixels of it."""
        key = (image.shape, hashlib.blake2b(image.tobytes(), digest_size=16).digest())
        if key not in self._known:
            self._known[key] = tuple(self._detector.detect(image))
        return list(self._known[key])


RATE = 5.0
"""Frames analysed per second."""
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
class EvaluationPlan:
    """What to run, with which model, and where clips are kept.

    Attributes:
        runs: the clips.
        model: manifest of the mask model; "" for the shipped one.
        keep: folder for the clips that went wrong, with their truth.
        cache: folder of rendered clips and of results; None renders each and keeps none.
    """

    runs: tuple[Run, ...]
    model: str = ""
    keep: Path | None = None
    cache: Path | None = None


def plan(
    *,
    seeds: int = 5,
    quick: bool = False,
    kinds: Sequence[str] = (),
    footage: Sequence[Path] = (),
    quiet_seconds: float = 3600.0,
    model: str = "",
    keep: Path | None = None,
    cache: Path | None = None,
) -> EvaluationPlan:
    """Return the runs of a full evaluation, or of a quick one: few kinds, one seed, no quiet hour.

    Raises UsageError for an unknown kind.
    """
    names = kinds or (_QUICK if quick else tuple(KINDS))
    for name in names:
        scene_named(name)  # an unknown name is refused before anything is rendered
    scenes = [Run(name, seed) for seed in range(1 if quick else seeds) for name in names]
    quiet = [] if quick else quiet_passes(footage, quiet_seconds)
    runs = (*scenes, *(Run("quiet", one.seed, one) for one in quiet))
    return EvaluationPlan(runs, model, keep, cache)


def camera_for(truth: Truth, clip: Path) -> CameraConfig:
    """Return how an operator would configure the clip's camera: screens ignored, 5 frames a second."""
    zones = tuple(
        ZoneConfig(name=f"screen {i + 1}", polygon=outline, rule=ZoneRule.IGNORED)
        for i, outline in enumerate(truth.ignore)
    )
    return CameraConfig(
        name=truth.name, url=SecretUrl(str(clip)), rate=min(RATE, truth.rate), zones=zones
    )


def run_plan(
    todo: EvaluationPlan,
    casting: PortraitsChoice,
    *,
    jobs: int | None = None,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[tuple[Run, ClipResult]]:
    """Give each run with what came of it, in the plan's order; `jobs` processes work at once."""
    jobs = jobs or os.cpu_count() or 1
    bench = _bench(todo, casting)
    if jobs == 1:
        _start(bench)
        for number, run in enumerate(todo.runs, 1):
            yield run, _judged(run)
            tell(number, len(todo.runs))
        return
    # A fresh interpreter for each: the model's and the encoder's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _start, (bench,)) as pool:
        done = zip(todo.runs, pool.map(_judged, todo.runs), strict=True)
        for number, (run, judged) in enumerate(done, 1):
            yield run, judged
            tell(number, len(todo.runs))


@dataclass(frozen=True, slots=True)
class _Bench:
    """What one process keeps between its runs."""

    heads: tuple[Head, ...]
    model: str
    keep: Path | None
    cache: ClipCache | None
    results: ResultCache | None


_here: list[_Bench] = []


def _bench(todo: EvaluationPlan, casting: PortraitsChoice) -> _Bench:
    """Return what the processes need; portraits are cut out only if there is a clip to render."""
    if todo.cache is None:
        return _Bench(casting.heads(), todo.model, todo.keep, None, None)
    cache = ClipCache(todo.cache, casting.fingerprint())
    whole = all(cache.holds(place_of(run, cache)) for run in todo.runs)
    manifest = Path(todo.model) if todo.model else default_manifest()
    files = (manifest, manifest.with_name(read_manifest(manifest).file))
    results = ResultCache(todo.cache / "results", replay_fingerprint(files))
    return _Bench(() if whole else casting.heads(), todo.model, todo.keep, cache, results)


def _start(bench: _Bench) -> None:
    _here[:] = [bench]


def _judged(run: Run) -> ClipResult:
    (bench,) = _here
    with ExitStack() as stack:
        if bench.cache is not None:
            clip = place_of(run, bench.cache)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="maskwatch-scene-"))
            clip = Path(folder) / f"{run.kind}-{run.seed}.mp4"
        judged = _known(run, clip, bench)
        if bench.keep is not None and judged.outcome.wrong:
            bench.keep.mkdir(parents=True, exist_ok=True)
            for file in (clip, truth_path(clip)):
                shutil.copy(file, bench.keep / file.name.replace(clip.stem, f"{run.kind}-{run.seed}"))
    return judged


def _known(run: Run, clip: Path, bench: _Bench) -> ClipResult:
    """Return what came of the run, from memory where that is possible."""
    judged = bench.results.find(clip) if bench.results else None
    if judged is None:
        judged = _replayed(run, clip, made(run, clip, bench.heads), bench.model)
        if bench.results:
            bench.results.keep(clip, judged)
    return judged


def _replayed(run: Run, clip: Path, truth: Truth, model: str) -> ClipResult:
    camera = camera_for(truth, clip)
    config = Config(cameras=(camera,), model=model)
    # The second replay asks for the same pictures again, and for those that the gate held back.
    detector = CachedDetector(build_detector(config, camera))
    outcome, findings = _watched(config, clip, truth, detector, gated=True)
    outcome = msgspec.structs.replace(outcome, kind=run.kind, seed=run.seed)
    if run.quiet is not None:
        return ClipResult(outcome=outcome, findings=findings)
    if findings.looked == findings.frames:  # the gate never closed: without it all is the same
        return ClipResult(outcome=outcome, findings=findings, ungated=outcome)
    ungated, _ = _watched(config, clip, truth, detector, gated=False)
    return ClipResult(outcome=outcome, findings=findings, ungated=ungated)


def _watched(
    config: Config, clip: Path, truth: Truth, detector: FaceDetecting, *, gated: bool
) -> tuple[ClipOutcome, TrackFindings]:
    witness = TrackEvaluation(truth)
    for step in Replay(clip, config, config.cameras[0], gated=gated, detector=detector):
        witness.see(step)
    return judge_clip(truth, witness.reports, Rules()), witness.findings()
