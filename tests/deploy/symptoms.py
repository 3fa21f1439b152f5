"""What each panel's queries and each rule are about, and how they must change then.

A table, to which `test_symptoms` holds panels and rules; `tests/e2e/test_dashboards_live.py`
induces every fault in the real daemon and sees every change in a real Prometheus.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto

from tests.deploy.haste import SCRAPE_WINDOW
from tests.deploy.queries import Query, alert_queries, panel_queries, record_queries

__all__ = ["ALERTS", "PANELS", "RECORDS", "Fault", "Reading", "Series", "Symptom", "Way", "symptoms_of"]

Series = list[tuple[Mapping[str, str], float]]


class Fault(StrEnum):
    """What the test does, or sees happen, to the real daemon."""

    # cameras
    GONE = auto()  # the camera hangs up on everybody
    BLACK = auto()  # its picture goes black
    TORN = auto()  # packets of its pictures arrive damaged
    STUCK = auto()  # its process is stopped
    LOOPING = auto()  # its process is killed again and again
    SLOW = auto()  # its process gets a sixteenth of a processor
    # people, operators
    MASKED = auto()  # people with masks come where nobody was
    BARE = auto()  # people without masks come where all wore one
    FAR = auto()  # people too far away to be judged
    SNOOZED = auto()  # the camera is snoozed by command, then somebody comes without a mask
    BAD_FILE = auto()  # a reload of a file with a mistake
    OTHER_MODEL = auto()  # a reload with another model
    FEWER_KEPT = auto()  # a reload with less to be kept, at which retention runs
    # recorder, store, peers
    RECORDER_STUCK = auto()  # the recorder is stopped while people pass
    BROKER_AWAY = auto()
    BROKER_BACK = auto()
    REFUSED = auto()  # a webhook answers 400
    STARVED = auto()  # the recorder hardly gets a processor
    LOCKED = auto()  # a stranger holds it
    LOW = auto()  # the disk has less than a GiB left
    FULL = auto()  # it has nothing left
    UPGRADED = auto()  # the program's files are replaced while it runs
    DOWN = auto()  # the daemon is killed
    RESTARTED = auto()  # it is started again


class Way(StrEnum):
    """How what a query answers changes."""

    RISES = auto()
    FALLS = auto()
    APPEARS = auto()  # a series that was absent, 0 or NaN has a value
    GOES = auto()  # a series that was there is there no more
    STOPS = auto()  # a value becomes 0


@dataclass(frozen=True)
class Reading:
    """What a query answered before and after a fault."""

    before: Series
    after: Series


@dataclass(frozen=True)
class Symptom:
    """A change that a fault must cause, in the series that have these labels.

    `times`: it must rise to so many times what it was: for what is never quite the same.
    `above`: from at most this to more than it.
    """

    fault: Fault
    way: Way
    labels: Mapping[str, str] = field(default_factory=dict)
    times: float = 1.0
    above: float | None = None

    def shows(self, reading: Reading) -> bool:
        """Whether the change is seen."""
        before, after = self._own(reading.before), self._own(reading.after)
        match self.way:
            case Way.APPEARS:
                return any(value != 0 and not before.get(key) for key, value in after.items())
            case Way.GOES:
                return bool(before) and not after
            case Way.STOPS:
                return any(value == 0 and before.get(key, 0) > 0 for key, value in after.items())
            case Way.FALLS:
                return any(value < 0.95 * before.get(key, -math.inf) for key, value in after.items())
            case Way.RISES if self.above is not None:
                return max(before.values(), default=0) <= self.above < max(after.values(), default=0)
            case Way.RISES:
                return any(
                    value > self.times * before.get(key, math.inf) for key, value in after.items()
                )

    def begins(self, series: Series) -> bool:
        """Whether what is to change is there, and what is to appear is not."""
        own = self._own(series)
        return not any(own.values()) if self.way is Way.APPEARS else bool(own)

    def base(self, reading: Reading) -> Series:
        """What a change is seen against from now on: a rise begins at the lowest since the fault began.

        Else what an earlier fault left high for a while would hide it.
        """
        if self.way is not Way.RISES:
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
    return Symptom(fault, Way.RISES, labels, times, above)


def _falls(fault: Fault, **labels: str) -> Symptom:
    return Symptom(fault, Way.FALLS, labels)


def _stops(fault: Fault, **labels: str) -> Symptom:
    return Symptom(fault, Way.STOPS, labels)


def _appears(fault: Fault, **labels: str) -> Symptom:
    return Symptom(fault, Way.APPEARS, labels)


def _goes(fault: Fault, **labels: str) -> Symptom:
    return Symptom(fault, Way.GOES, labels)


F = Fault
# By panel: a symptom for each of its queries, in their order.
PANELS: dict[str, tuple[Symptom, ...]] = {
    "maskwatch / fleet: Cameras live": (_falls(F.GONE),),
    "maskwatch / fleet: Cameras not live": (_rises(F.GONE),),
    "maskwatch / fleet: People in view": (_rises(F.MASKED),),
    "maskwatch / fleet: Open violations": (_rises(F.BARE),),
    "maskwatch / fleet: Alerts waiting": (_rises(F.BROKER_AWAY),),
    "maskwatch / fleet: Open incidents": (_rises(F.GONE),),
    "maskwatch / fleet: State of each camera": (_appears(F.BLACK, camera="black", state="blind"),),
    "maskwatch / fleet: Frames processed per second": (_stops(F.GONE, camera="gone"),),
    "maskwatch / fleet: Age of the newest processed frame": (_rises(F.STUCK, above=6, camera="stuck"),),
    "maskwatch / fleet: Lost connections": (_rises(F.GONE, camera="gone"),),
    "maskwatch / fleet: Violations per hour": (_rises(F.BARE),),
    "maskwatch / fleet: Processor time": (_stops(F.LOOPING, camera="looping"),),
    "maskwatch / fleet: Resident memory": (_goes(F.LOOPING, camera="looping"),),
    "maskwatch / fleet: Open file descriptors": (_goes(F.LOOPING, camera="looping"),),
    "maskwatch / fleet: Process restarts": (
        _rises(F.LOOPING, process="worker", camera="looping", reason="killed"),
    ),
    "maskwatch / fleet: Configuration": (_falls(F.BAD_FILE), _rises(F.BAD_FILE, result="refused")),
    "maskwatch / fleet: Commands": (_rises(F.SNOOZED, verb="snooze", result="ok"),),
    "maskwatch / fleet: Age": (_falls(F.RESTARTED), _falls(F.OTHER_MODEL)),
    "maskwatch / fleet: Version": (_goes(F.DOWN),),
    "maskwatch / camera: Frames by fate": (_rises(F.TORN, fate="damaged"),),
    "maskwatch / camera: Connection": (_rises(F.GONE, camera="gone"),),
    "maskwatch / camera: Decode, detect, classify": tuple(
        _rises(F.SLOW, times=2, camera="slow") for _ in range(3)
    ),
    "maskwatch / camera: Frame to verdict": tuple(
        _rises(F.SLOW, times=2, camera="slow") for _ in range(2)
    ),
    "maskwatch / camera: First sight to verdict": (_rises(F.MASKED, le="+Inf"),),
    "maskwatch / camera: Verdict to disk": (_rises(F.LOCKED, times=2),),
    "maskwatch / camera: People by verdict": (_rises(F.BARE, verdict="no_mask"),),
    "maskwatch / camera: Faces by result": (_rises(F.FAR, result="too_small"), _rises(F.MASKED)),
    "maskwatch / camera: In view, and open violations": (_rises(F.MASKED), _rises(F.BARE)),
    "maskwatch / camera: Updates held back": (_rises(F.BARE),),
    "maskwatch / camera: Changes not acknowledged": (
        _rises(F.RECORDER_STUCK),
        _rises(F.RECORDER_STUCK),
    ),
    "maskwatch / camera: Model": (_appears(F.OTHER_MODEL, model="another"),),
    "maskwatch / compliance: Masked of judged people": (_falls(F.BARE),),
    "maskwatch / compliance: People judged": (_rises(F.MASKED),),
    "maskwatch / compliance: People not judged": (_rises(F.FAR),),
    "maskwatch / compliance: People by verdict": (_rises(F.BARE, verdict="no_mask"),),
    "maskwatch / compliance: Violations by zone": (_rises(F.BARE, verdict="no_mask", zone="floor"),),
    "maskwatch / alert delivery: Attempts by fate": (_rises(F.REFUSED, fate="refused"),),
    "maskwatch / alert delivery: Frame to acknowledgement": (
        _rises(F.BROKER_BACK, times=2, sink="mqtt"),
        _rises(F.BROKER_BACK, times=2, sink="mqtt"),
    ),
    "maskwatch / alert delivery: Alerts waiting and parked": (
        _rises(F.BROKER_AWAY, sink="mqtt"),
        _rises(F.REFUSED, sink="people-tickets"),
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
    "maskwatch / alert delivery: Changes recorded": (_rises(F.BARE, change="opened"),),
    "maskwatch / alert delivery: Commit": (_rises(F.STARVED, times=2), _rises(F.STARVED, times=2)),
    "maskwatch / alert delivery: Space": (
        _rises(F.BARE, part="pictures"),
        _falls(F.LOW),
        _falls(F.FULL),
    ),
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
    "maskwatch:compliance:ratio6h": _falls(F.BARE),
    "maskwatch:unknown:ratio6h": _rises(F.FAR),
    "maskwatch:capture_to_verdict_seconds:p95_5m": _rises(F.SLOW, times=2, camera="slow"),
    "maskwatch:capture_to_publish_seconds:p95_5m": _rises(F.BROKER_BACK, times=2, sink="mqtt"),
}
# Each alert fires; the labels are those of what it is about.
ALERTS: dict[str, Symptom] = {
    "MaskwatchDown": _appears(F.DOWN, severity="critical"),
    "MaskwatchCameraOffline": _appears(F.GONE, camera="gone"),
    "MaskwatchCameraBlind": _appears(F.BLACK, camera="black"),
    "MaskwatchCameraQuarantined": _appears(F.LOOPING, camera="looping"),
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
    "MaskwatchDiskFull": _appears(F.FULL),
    "MaskwatchStoreErrors": _appears(F.FULL, reason="full"),
    "MaskwatchRetentionStale": _appears(F.RECORDER_STUCK),
    "MaskwatchComplianceLow": _appears(F.BARE, camera="door"),
    "MaskwatchDrift": _appears(F.FAR, camera="door"),
}


def _firing(alert: str) -> str:
    return f'ALERTS{{alertname="{alert}",alertstate="firing"}}'


def symptoms_of(*faults: Fault) -> list[tuple[Query, Symptom]]:
    """Return every query that must change by these faults, as Prometheus is asked, and how."""
    asked: dict[str, list[Query]] = {}
    for query in panel_queries():
        asked.setdefault(query.where, []).append(query)
    pairs = [pair for panel, found in PANELS.items() for pair in zip(asked[panel], found, strict=True)]
    pairs += [(Query(q.where, q.where), RECORDS[q.where]) for q in record_queries()]
    pairs += [(Query(q.where, _firing(q.where)), ALERTS[q.where]) for q in alert_queries()]
    quick = [(Query(q.where, q.concrete(SCRAPE_WINDOW)), symptom) for q, symptom in pairs]
    return [(query, symptom) for query, symptom in quick if symptom.fault in faults]
