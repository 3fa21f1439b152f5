"""The fault that each panel query and each rule shows, and how its result must change.

`test_symptoms` checks that the tables are complete; `tests/e2e/test_dashboards_live.py`
induces every fault in the real daemon and checks every change in a real Prometheus.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto

from tests.deploy.queries import Query, alert_queries, panel_queries, record_queries
from tests.deploy.short_rules import SCRAPE_WINDOW

Series = list[tuple[Mapping[str, str], float]]


class Fault(StrEnum):
    """What a test does to the real daemon or its surroundings."""

    # cameras
    GONE = auto()  # the camera closes every connection
    BLACK = auto()  # its picture turns black
    TORN = auto()  # packets of its pictures arrive damaged
    STUCK = auto()  # its process is stopped
    LOOPING = auto()  # its process is killed again and again
    SLOW = auto()  # its process gets a sixteenth of the processor time
    # people, operators
    MASKED = auto()  # people with masks come to an empty scene
    NO_MASK = auto()  # people without masks follow people with masks
    FAR = auto()  # people too far away for a verdict
    SNOOZED = auto()  # the camera is snoozed by command, then people without masks come
    BAD_FILE = auto()  # a reload of an invalid file
    OTHER_MODEL = auto()  # a reload with another model
    FEWER_KEPT = auto()  # a reload with a smaller retention, which runs immediately
    # recorder, store, peers
    RECORDER_STUCK = auto()  # the recorder is stopped while people pass
    BROKER_AWAY = auto()
    BROKER_BACK = auto()
    REFUSED = auto()  # a webhook answers 400
    STARVED = auto()  # the recorder gets little processor time
    LOCKED = auto()  # another program locks the database
    LOW = auto()  # the disk has less than a GiB left, and room for few files
    FULL = auto()  # the disk is full
    UPGRADED = auto()  # the program's files are replaced while it runs
    DOWN = auto()  # the daemon is killed
    RESTARTED = auto()  # it is started again


class Effect(StrEnum):
    """How the result of a query changes."""

    RISES = auto()
    FALLS = auto()
    APPEARS = auto()  # a series that was absent, 0 or NaN has a value
    DISAPPEARS = auto()  # a series that existed no longer exists
    STOPS = auto()  # a value becomes 0


@dataclass(frozen=True)
class Reading:
    """The results of a query before and after a fault."""

    before: Series
    after: Series


@dataclass(frozen=True)
class Symptom:
    """A change that a fault must cause, in the series that have these labels.

    `times`: a rise must be by more than this factor, for values that always vary a little.
    `above`: a rise must be from at most this value to more than it.
    """

    fault: Fault
    effect: Effect
    labels: Mapping[str, str] = field(default_factory=dict)
    times: float = 1.0
    above: float | None = None

    def shows(self, reading: Reading) -> bool:
        """Return whether the change is visible."""
        before, after = self._own(reading.before), self._own(reading.after)
        match self.effect:
            case Effect.APPEARS:
                return any(value != 0 and not before.get(key) for key, value in after.items())
            case Effect.DISAPPEARS:
                return bool(before) and not after
            case Effect.STOPS:
                return any(value == 0 and before.get(key, 0) > 0 for key, value in after.items())
            case Effect.FALLS:
                return any(value < 0.95 * before.get(key, -math.inf) for key, value in after.items())
            case Effect.RISES if self.above is not None:
                return max(before.values(), default=0) <= self.above < max(after.values(), default=0)
            case Effect.RISES:
                return any(
                    value > self.times * before.get(key, math.inf) for key, value in after.items()
                )

    def begins(self, series: Series) -> bool:
        """Return whether the series that must change exist, and those that must appear do not."""
        own = self._own(series)
        return not any(own.values()) if self.effect is Effect.APPEARS else bool(own)

    def base(self, reading: Reading) -> Series:
        """Return the baseline of later readings: of a rise, the lowest values since the fault began.

        A value that is still high from an earlier fault would hide the rise otherwise.
        """
        if self.effect is not Effect.RISES:
            return reading.before
        lowest: dict[tuple[tuple[str, str], ...], float] = {}
        for labels, value in (*reading.before, *reading.after):
            key = tuple(sorted(labels.items()))
            if not math.isnan(value):
                lowest[key] = min(value, lowest.get(key, math.inf))
        return [(dict(key), value) for key, value in lowest.items()]

    def _own(self, series: Series) -> dict[tuple[tuple[str, str], ...], float]:
        return {
            tuple(sorted(labels.items())): value
            for labels, value in series
            if self.labels.items() <= labels.items() and not math.isnan(value)
        }


def _rises(fault: Fault, *, times: float = 1.0, above: float | None = None, **labels: str) -> Symptom:
    return Symptom(fault, Effect.RISES, labels, times, above)


def _falls(fault: Fault, **labels: str) -> Symptom:
    return Symptom(fault, Effect.FALLS, labels)


def _stops(fault: Fault, **labels: str) -> Symptom:
    return Symptom(fault, Effect.STOPS, labels)


def _appears(fault: Fault, **labels: str) -> Symptom:
    return Symptom(fault, Effect.APPEARS, labels)


def _disappears(fault: Fault, **labels: str) -> Symptom:
    return Symptom(fault, Effect.DISAPPEARS, labels)


F = Fault
# By panel: a symptom for each of its queries, in their order.
PANELS: dict[str, tuple[Symptom, ...]] = {
    "maskwatch / fleet: Cameras live": (_falls(F.GONE),),
    "maskwatch / fleet: Cameras not live": (_rises(F.GONE),),
    "maskwatch / fleet: People in view": (_rises(F.MASKED),),
    "maskwatch / fleet: Open violations": (_rises(F.NO_MASK),),
    "maskwatch / fleet: Alerts waiting": (_rises(F.BROKER_AWAY),),
    "maskwatch / fleet: Open incidents": (_rises(F.GONE),),
    "maskwatch / fleet: State of each camera": (_appears(F.BLACK, camera="black", state="blind"),),
    "maskwatch / fleet: Frames processed per second": (_stops(F.GONE, camera="gone"),),
    "maskwatch / fleet: Age of the newest processed frame": (_rises(F.STUCK, above=6, camera="stuck"),),
    "maskwatch / fleet: Lost connections": (_rises(F.GONE, camera="gone"),),
    "maskwatch / fleet: Violations per hour": (_rises(F.NO_MASK),),
    "maskwatch / fleet: Processor time": (_stops(F.LOOPING, camera="looping"),),
    "maskwatch / fleet: Resident memory": (_disappears(F.LOOPING, camera="looping"),),
    "maskwatch / fleet: Open file descriptors": (_disappears(F.LOOPING, camera="looping"),),
    "maskwatch / fleet: Process restarts": (
        _rises(F.LOOPING, process="worker", camera="looping", reason="killed"),
    ),
    "maskwatch / fleet: Configuration": (_falls(F.BAD_FILE), _rises(F.BAD_FILE, result="refused")),
    "maskwatch / fleet: Commands": (_rises(F.SNOOZED, verb="snooze", result="ok"),),
    "maskwatch / fleet: Age": (_falls(F.RESTARTED), _falls(F.OTHER_MODEL)),
    "maskwatch / fleet: Version": (_disappears(F.DOWN),),
    "maskwatch / camera: Frames by fate": (_rises(F.TORN, fate="damaged"),),
    "maskwatch / camera: Analysis rate": (
        _disappears(F.DOWN),
        _falls(F.SLOW, camera="slow"),
    ),
    "maskwatch / camera: Share of due frames analysed": (_falls(F.SLOW, camera="slow"),),
    "maskwatch / camera: Connection": (_rises(F.GONE, camera="gone"),),
    "maskwatch / camera: Decode, detect, classify": tuple(
        _rises(F.SLOW, times=2, camera="slow") for _ in range(3)
    ),
    "maskwatch / camera: Frame to verdict": tuple(
        _rises(F.SLOW, times=2, camera="slow") for _ in range(2)
    ),
    "maskwatch / camera: First sight to verdict": (_rises(F.MASKED, le="+Inf"),),
    "maskwatch / camera: Verdict to disk": (_rises(F.LOCKED, times=2),),
    "maskwatch / camera: People by verdict": (_rises(F.NO_MASK, verdict="no_mask"),),
    "maskwatch / camera: Faces by result": (_rises(F.FAR, result="too_small"), _rises(F.MASKED)),
    "maskwatch / camera: In view, and open violations": (_rises(F.MASKED), _rises(F.NO_MASK)),
    "maskwatch / camera: Updates held back": (_rises(F.NO_MASK),),
    "maskwatch / camera: Changes not acknowledged": (
        _rises(F.RECORDER_STUCK),
        _rises(F.RECORDER_STUCK),
    ),
    "maskwatch / camera: Model": (_appears(F.OTHER_MODEL, model="another"),),
    "maskwatch / compliance: Masked of judged people": (_falls(F.NO_MASK),),
    "maskwatch / compliance: People judged": (_rises(F.MASKED),),
    "maskwatch / compliance: People not judged": (_rises(F.FAR),),
    "maskwatch / compliance: People by verdict": (_rises(F.NO_MASK, verdict="no_mask"),),
    "maskwatch / compliance: Violations by zone": (_rises(F.NO_MASK, verdict="no_mask", zone="floor"),),
    "maskwatch / alert delivery: Attempts by fate": (_rises(F.REFUSED, fate="refused"),),
    "maskwatch / alert delivery: Frame to acknowledgement": (
        _rises(F.BROKER_BACK, times=2, sink="mqtt"),
        _rises(F.BROKER_BACK, times=2, sink="mqtt"),
    ),
    "maskwatch / alert delivery: Alerts waiting and parked": (
        _rises(F.BROKER_AWAY, sink="mqtt"),
        _rises(F.REFUSED, sink="people-tickets"),
        _appears(F.REFUSED, sink="people-tickets", reason="refused"),
    ),
    "maskwatch / alert delivery: Age of the oldest alert": (
        _rises(F.BROKER_AWAY, sink="mqtt", above=5),
    ),
    "maskwatch / alert delivery: Sink ready": (_falls(F.BROKER_AWAY, sink="mqtt"),),
    "maskwatch / alert delivery: Incidents": (
        _rises(F.GONE, kind="camera_offline"),
        _rises(F.GONE, kind="camera_offline"),
    ),
    "maskwatch / alert delivery: Held back by snoozes": (_rises(F.SNOOZED), _rises(F.SNOOZED)),
    "maskwatch / alert delivery: Changes recorded": (_rises(F.NO_MASK, change="opened"),),
    "maskwatch / alert delivery: Commit": (_rises(F.STARVED, times=2), _rises(F.STARVED, times=2)),
    "maskwatch / alert delivery: Space": (
        _rises(F.NO_MASK, part="pictures"),
        _falls(F.LOW),
        _falls(F.FULL),
    ),
    "maskwatch / alert delivery: Inodes": (_falls(F.LOW),),
    "maskwatch / alert delivery: Trouble": (
        _rises(F.FULL, reason="full"),
        _rises(F.FULL, fate="failed"),
        _rises(F.FULL),
    ),
    "maskwatch / alert delivery: Retention: last success": (_rises(F.RECORDER_STUCK, above=15),),
    "maskwatch / alert delivery: Retention: removed": (
        _rises(F.FEWER_KEPT, kind="picture"),
        _rises(F.FEWER_KEPT),
    ),
    "maskwatch / alert delivery: Unknown metrics": (_rises(F.UPGRADED, process="worker"),),
}
RECORDS: dict[str, Symptom] = {
    "maskwatch:frames_processed:rate1m": _stops(F.GONE, camera="gone"),
    "maskwatch:people_judged:increase6h": _rises(F.MASKED),
    "maskwatch:people:increase6h": _rises(F.MASKED),
    "maskwatch:compliance:ratio6h": _falls(F.NO_MASK),
    "maskwatch:unknown:ratio6h": _rises(F.FAR),
    "maskwatch:capture_to_verdict_seconds:p95_5m": _rises(F.SLOW, times=2, camera="slow"),
    "maskwatch:capture_to_publish_seconds:p95_5m": _rises(F.BROKER_BACK, times=2, sink="mqtt"),
}
# Each alert fires with the labels of its fault.
ALERTS: dict[str, Symptom] = {
    "MaskwatchDown": _appears(F.DOWN, severity="critical"),
    "MaskwatchCameraOffline": _appears(F.GONE, camera="gone"),
    "MaskwatchCameraBlind": _appears(F.BLACK, camera="black"),
    "MaskwatchCameraQuarantined": _appears(F.LOOPING, camera="looping"),
    "MaskwatchCameraOverloaded": _appears(F.SLOW, camera="slow"),
    "MaskwatchNothingProcessed": _appears(F.STUCK, camera="stuck"),
    "MaskwatchCrashLoop": _appears(F.LOOPING, camera="looping"),
    "MaskwatchConfigRefused": _appears(F.BAD_FILE),
    "MaskwatchSamplesRejected": _appears(F.UPGRADED, process="worker"),
    "MaskwatchBacklog": _appears(F.BROKER_AWAY, sink="mqtt"),
    "MaskwatchSinkNotReady": _appears(F.BROKER_AWAY, sink="mqtt"),
    "MaskwatchAlertsParked": _appears(F.REFUSED, sink="people-tickets"),
    "MaskwatchAlertsSlow": _appears(F.BROKER_BACK, sink="mqtt"),
    "MaskwatchChangesDropped": _appears(F.RECORDER_STUCK, camera="door"),
    "MaskwatchDiskLow": _appears(F.LOW),
    "MaskwatchInodesLow": _appears(F.LOW),
    "MaskwatchDiskFull": _appears(F.FULL),
    "MaskwatchStoreErrors": _appears(F.FULL, reason="full"),
    "MaskwatchRetentionStale": _appears(F.RECORDER_STUCK),
    "MaskwatchComplianceLow": _appears(F.NO_MASK, camera="door"),
    "MaskwatchDrift": _appears(F.FAR, camera="door"),
}


def _firing(alert: str) -> str:
    return f'ALERTS{{alertname="{alert}",alertstate="firing"}}'


def symptoms_of(*faults: Fault) -> list[tuple[Query, Symptom]]:
    """Return every query that must change by these faults, with its symptom."""
    by_panel: dict[str, list[Query]] = {}
    for query in panel_queries():
        by_panel.setdefault(query.where, []).append(query)
    pairs = [pair for panel, own in PANELS.items() for pair in zip(by_panel[panel], own, strict=True)]
    pairs += [(Query(q.where, q.where), RECORDS[q.where]) for q in record_queries()]
    pairs += [(Query(q.where, _firing(q.where)), ALERTS[q.where]) for q in alert_queries()]
    concrete = [(Query(q.where, q.concrete(SCRAPE_WINDOW)), symptom) for q, symptom in pairs]
    return [(query, symptom) for query, symptom in concrete if symptom.fault in faults]
