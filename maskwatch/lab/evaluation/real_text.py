"""The figures of recorded clips as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maskwatch.lab.evaluation.real_events import AssignedReport
from maskwatch.lab.evaluation.real_run import ClipReport, RealReport
from maskwatch.lab.evaluation.real_tracks import TrackFigures


def real_text(report: RealReport) -> str:
    """Return a table of the clips, every fault with its reason, and the figures over all."""
    return "\n".join((*_table(report), "", *_faults(report), *_total(report)))


def _table(report: RealReport) -> Iterator[str]:
    width = max(4, *(len(name) for name in report.clips))
    names = ("due", "found", "missed", "again", "false", "neither", "delays")
    yield f"{'clip':{width}}" + "".join(f"{name:>8}" for name in names)
    for clip, r in report.clips.items():
        counts = (r.due, r.found, r.missed, r.duplicates, r.false, r.neither)
        delays = " ".join(f"{who}:{delay:+.1f}" for who, delay in r.delays.items()) or "-"
        yield f"{clip:{width}}" + "".join(f"{len(value):>8}" for value in counts) + f"  {delays}"


def _faults(report: RealReport) -> Iterator[str]:
    """Yield a line for each miss, late report, duplicate and false alarm."""
    lines = [line for clip, result in report.clips.items() for line in _faults_of(clip, result)]
    yield from lines
    if lines:
        yield ""


def _faults_of(clip: str, result: ClipReport) -> Iterator[str]:
    for who, reason in result.reasons.items():
        what = "missed" if who in result.missed else "late"
        late = f" {result.delays[who]:+.1f} s" if what == "late" else ""
        yield (
            f"{what:7} {clip}: {who}{late}, {reason.part.value} in {reason.share:.0%} of the frames: "
            f"{reason.detail}"
        )
    yield from _reports("again", clip, result.duplicates)
    yield from _reports("false", clip, result.false)


def _reports(what: str, clip: str, reports: Sequence[AssignedReport]) -> Iterator[str]:
    for one in reports:
        why = f" ({one.why})" if one.why else ""
        yield f"{what:7} {clip}: {one.who or '?'} at {one.moment:.2f} s{why}, person {one.track}"


def _total(report: RealReport) -> Iterator[str]:
    t = report.total
    yield f"recall     {_share(t.recall, t.recall_95)}  {t.found} of {t.due} found"
    yield (
        f"precision  {_share(t.precision, t.precision_95)}  {t.duplicates} reported again, "
        f"{t.false} false"
    )
    if t.delay_median is not None:
        yield f"delay      median {t.delay_median:.2f} s, 90th percentile {t.delay_p90:.2f} s"
    for name, tracks in (("tracks", report.tracks), ("crowds", report.crowds)):
        if tracks.people:
            yield _tracks(name, tracks)
    if report.absent:
        yield f"absent     {', '.join(report.absent)}"


def _tracks(name: str, tracks: TrackFigures) -> str:
    return (
        f"{name:10} {tracks.switches_per_100:g} identity switches per 100 people ({tracks.people}), "
        f"{tracks.moved} moved to another person, HOTA {tracks.hota} (found {tracks.found}, "
        f"association {tracks.association})"
    )


def _share(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "-"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
