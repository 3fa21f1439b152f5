"""Runs the event evaluation: makes the clips, replays them and judges the reports."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from maskwatch.analysis.build import build_detector
from maskwatch.config.schema import CameraConfig, Config, ZoneConfig, ZoneRule
from maskwatch.domain import Detection
from maskwatch.lab.evaluation.clip_cache import ClipCache, PlannedClip, cached_path, ensure_clip
from maskwatch.lab.evaluation.events import ClipOutcome, judge_clip
from maskwatch.lab.evaluation.negatives import negative_passes
from maskwatch.lab.evaluation.portraits_choice import PortraitsChoice
from maskwatch.lab.evaluation.results import ClipResult, ResultCache, replay_fingerprint
from maskwatch.lab.evaluation.rules import Rules
from maskwatch.lab.evaluation.tracks import TrackEvaluation, TrackFindings
from maskwatch.lab.scenes import Head, scene_named
from maskwatch.lab.scenes.catalogue import KINDS
from maskwatch.lab.truth import Truth, truth_path
from maskwatch.replay.replay import Replay
from maskwatch.secrets import SecretUrl
from maskwatch.vision.attention import FaceDetecting
from maskwatch.vision.manifest import default_manifest, read_manifest

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image


class CachedDetector:
    """Wraps a detector and keeps its detections of every picture."""

    def __init__(self, detector: FaceDetecting) -> None:
        self._detector = detector
        self._cached: dict[tuple[tuple[int, ...], bytes], tuple[Detection, ...]] = {}

    def detect(self, image: Image) -> list[Detection]:
        """Return the faces in a picture (uint8 BGR, height x width x 3), in its pixels."""
        key = (image.shape, hashlib.blake2b(image.tobytes(), digest_size=16).digest())
        if key not in self._cached:
            self._cached[key] = tuple(self._detector.detect(image))
        return list(self._cached[key])


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
    """The clips to evaluate, the model, and where clips are kept.

    Attributes:
        clips: the planned clips.
        model: manifest of the mask model; "" for the shipped one.
        keep: folder for the clips with faults, and their ground truth; None keeps none.
        cache: folder of rendered clips and of results; None caches nothing.

    """

    clips: tuple[PlannedClip, ...]
    model: str = ""
    keep: Path | None = None
    cache: Path | None = None


def make_plan(
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
    """Return the plan of a full evaluation, or of a quick one: few kinds, one seed, no negatives.

    `quiet_seconds` is the length of negative footage, which comes from `footage` and rendered rooms.
    Raises UsageError for an unknown kind.
    """
    names = kinds or (_QUICK if quick else tuple(KINDS))
    for name in names:
        scene_named(name)  # raises for an unknown name before anything is rendered
    scenes = [PlannedClip(name, seed) for seed in range(1 if quick else seeds) for name in names]
    passes = [] if quick else negative_passes(footage, quiet_seconds)
    negatives = [PlannedClip("quiet", each.seed, each) for each in passes]
    return EvaluationPlan((*scenes, *negatives), model, keep, cache)


def camera_for(truth: Truth, clip: Path) -> CameraConfig:
    """Return the clip's camera as an operator would configure it: screens are ignored zones."""
    zones = tuple(
        ZoneConfig(name=f"screen {i + 1}", polygon=outline, rule=ZoneRule.IGNORED)
        for i, outline in enumerate(truth.ignore)
    )
    return CameraConfig(
        name=truth.name, url=SecretUrl(str(clip)), rate=min(RATE, truth.rate), zones=zones
    )


def run_plan(
    plan: EvaluationPlan,
    portraits: PortraitsChoice,
    *,
    jobs: int | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[tuple[PlannedClip, ClipResult]]:
    """Yield each planned clip with its result, in the plan's order, evaluated by `jobs` processes.

    `on_progress` gets the number of finished clips and of all clips.
    """
    jobs = jobs or os.cpu_count() or 1
    context = _worker_context(plan, portraits)
    with ExitStack() as stack:
        if jobs == 1:
            _set_context(context)
            results: Iterable[ClipResult] = map(_evaluate, plan.clips)
        else:
            # A fresh interpreter for each: the model's and the encoder's threads do not survive a fork.
            spawn = multiprocessing.get_context("spawn")
            pool = stack.enter_context(ProcessPoolExecutor(jobs, spawn, _set_context, (context,)))
            results = pool.map(_evaluate, plan.clips)
        for number, (planned, result) in enumerate(zip(plan.clips, results, strict=True), 1):
            yield planned, result
            on_progress(number, len(plan.clips))


@dataclass(frozen=True, slots=True)
class _WorkerContext:
    """What all evaluations of one process share."""

    heads: tuple[Head, ...]
    model: str
    keep: Path | None
    cache: ClipCache | None
    results: ResultCache | None


_context: list[_WorkerContext] = []


def _worker_context(plan: EvaluationPlan, portraits: PortraitsChoice) -> _WorkerContext:
    """Return the context of the processes; portraits are cut out only if a clip must be rendered."""
    if plan.cache is None:
        return _WorkerContext(portraits.heads(), plan.model, plan.keep, None, None)
    cache = ClipCache(plan.cache, portraits.fingerprint())
    complete = all(cache.is_complete(cached_path(planned, cache)) for planned in plan.clips)
    manifest = Path(plan.model) if plan.model else default_manifest()
    files = (manifest, manifest.with_name(read_manifest(manifest).file))
    results = ResultCache(plan.cache / "results", replay_fingerprint(files))
    heads = () if complete else portraits.heads()
    return _WorkerContext(heads, plan.model, plan.keep, cache, results)


def _set_context(context: _WorkerContext) -> None:
    _context[:] = [context]


def _evaluate(planned: PlannedClip) -> ClipResult:
    (context,) = _context
    with ExitStack() as stack:
        if context.cache is not None:
            clip = cached_path(planned, context.cache)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="maskwatch-scene-"))
            clip = Path(folder) / f"{planned.kind}-{planned.seed}.mp4"
        result = _cached_result(planned, clip, context)
        if context.keep is not None and result.outcome.wrong:
            context.keep.mkdir(parents=True, exist_ok=True)
            name = f"{planned.kind}-{planned.seed}"
            for file in (clip, truth_path(clip)):
                shutil.copy(file, context.keep / file.name.replace(clip.stem, name))
    return result


def _cached_result(planned: PlannedClip, clip: Path, context: _WorkerContext) -> ClipResult:
    """Return the result from the cache; otherwise replay the clip and store its result."""
    result = context.results.find(clip) if context.results else None
    if result is None:
        truth = ensure_clip(planned, clip, context.heads)
        result = _replayed(planned, clip, truth, context.model)
        if context.results:
            context.results.store(clip, result)
    return result


def _replayed(planned: PlannedClip, clip: Path, truth: Truth, model: str) -> ClipResult:
    camera = camera_for(truth, clip)
    config = Config(cameras=(camera,), model=model)
    # The replay without the gate detects faces in the same pictures again, and in the gated ones.
    detector = CachedDetector(build_detector(config, camera))
    outcome, findings = _replay(config, clip, truth, detector, gated=True)
    outcome = msgspec.structs.replace(outcome, kind=planned.kind, seed=planned.seed)
    if planned.negative is not None:
        return ClipResult(outcome=outcome, findings=findings)
    if findings.looked == findings.frames:  # the gate never closed, so it made no difference
        return ClipResult(outcome=outcome, findings=findings, ungated=outcome)
    ungated, _ = _replay(config, clip, truth, detector, gated=False)
    return ClipResult(outcome=outcome, findings=findings, ungated=ungated)


def _replay(
    config: Config, clip: Path, truth: Truth, detector: FaceDetecting, *, gated: bool
) -> tuple[ClipOutcome, TrackFindings]:
    evaluation = TrackEvaluation(truth)
    for step in Replay(clip, config, config.cameras[0], gated=gated, detector=detector):
        evaluation.add(step)
    return judge_clip(truth, evaluation.reports, Rules()), evaluation.findings()
