"""Every metric, declared once: name, type, labels with their closed sets of values, help, buckets.

Other modules import the names from here (`meter.add(catalogue.FRAMES, {...})`). The supervisor serves
only declared metrics; tests compare docs/metrics.md, dashboards and rules with this table. It needs
no Prometheus library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from maskwatch.domain import CameraState, ChangeKind, GateReason, IncidentKind, Verdict


class MetricKind(StrEnum):
    """How a value behaves."""

    COUNTER = "counter"  # only rises; ends in _total; continues after a restart of its process
    GAUGE = "gauge"  # rises and falls; gone when its process is gone
    HISTOGRAM = "histogram"  # counts in buckets; continues after a restart of its process


class Owner(StrEnum):
    """The process that counts a metric."""

    WORKER = "worker"
    RECORDER = "recorder"
    SUPERVISOR = "supervisor"


@dataclass(frozen=True, slots=True)
class Label:
    """A label; `values` is the closed set, or None if the configuration determines the values."""

    name: str
    values: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `unit` is Prometheus's base unit ("" for a count); `buckets` are upper bounds."""

    name: str
    kind: MetricKind
    owner: Owner
    help: str
    labels: tuple[Label, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()


METRICS: dict[str, Metric] = {}
ZYGOTE = "zygote"
"""The process from which workers are forked; it counts nothing itself."""

# --- labels ---------------------------------------------------------------------------------------


def _closed(name: str, values: Iterable[str]) -> Label:
    return Label(name, tuple(values))


# Determined by the configuration: a camera's name, a zone's name ("" for the whole picture), a sink's
# name, a model's id, the version of this program.
_CAMERA = Label("camera")
_ZONE = Label("zone")
_SINK = Label("sink")
_MODEL = Label("model")
_VERSION = Label("version")
# The camera of a worker; "" for the recorder and the supervisor.
_OF_CAMERA = Label("camera")

_STATE = _closed("state", CameraState)
_VERDICT = _closed("verdict", Verdict)
_VIOLATION_VERDICT = _closed("verdict", (Verdict.NO_MASK, Verdict.INCORRECT))
_CHANGE = _closed("change", ChangeKind)
_INCIDENT = _closed("kind", IncidentKind)
_PROCESS = _closed("process", (*Owner, ZYGOTE))

FRAME_FATES = (
    "decoded", "sampled", "skipped", "damaged", "no_key", "late", "missed", "reduced", "gated",
    "analysed",
)  # fmt: skip
READING_RESULTS = ("classified", *GateReason)
DISCONNECT_REASONS = (
    "refused", "unreachable", "unauthorized", "login_method", "redirected", "not_found", "silent",
    "garbage", "no_video", "no_key_picture", "late", "too_large", "ended", "stalled", "other",
)  # fmt: skip
RESTART_REASONS = ("exited", "killed", "hung", "misbehaved", "memory", "start_failed", "config")
DELIVERY_FATES = ("accepted", "skipped", "refused", "failed")
PARKED_REASONS = ("refused", "failed", "unreadable", "behind")
PICTURE_FATES = ("written", "failed", "damaged")
STORE_PARTS = ("database", "wal", "pictures")
STORE_ERRORS = ("locked", "full", "damaged", "io")
RETENTION_KINDS = ("picture", "violation", "occupancy", "orphan")
RELOAD_RESULTS = ("ok", "refused")
COMMAND_VERBS = ("enable", "disable", "snooze", "snapshot", "acknowledge", "reload", "retry", "other")
COMMAND_RESULTS = ("ok", "refused")

# --- buckets: finest around the target or the decision ----------------------------------------

# One step of the pipeline, per frame or face: under a millisecond to a second.
_STEP = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
# From a frame to its alert: the targets are 0.12 s (median) and 0.25 s (95th
# percentile); the tail is an unreachable broker or camera.
_LATENCY = (0.025, 0.05, 0.075, 0.1, 0.12, 0.15, 0.2, 0.25, 0.35, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
# From the first sight of a person to the verdict.
_DECISION = (0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
# A commit with its fsyncs, on anything from NVMe to a busy disk.
_DISK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
# A pass of retention.
_PASS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


def _add(metric: Metric) -> str:
    assert metric.name not in METRICS, metric.name
    METRICS[metric.name] = metric
    return metric.name


@dataclass(frozen=True, slots=True)
class _Declare:
    """Declares the metrics of one process; each method returns the metric's name."""

    owner: Owner

    def counter(self, name: str, text: str, *labels: Label, unit: str = "") -> str:
        return _add(Metric(name, MetricKind.COUNTER, self.owner, text, labels, unit))

    def gauge(self, name: str, text: str, *labels: Label, unit: str = "") -> str:
        return _add(Metric(name, MetricKind.GAUGE, self.owner, text, labels, unit))

    def seconds(self, name: str, text: str, buckets: tuple[float, ...], *labels: Label) -> str:
        return _add(Metric(name, MetricKind.HISTOGRAM, self.owner, text, labels, "seconds", buckets))


_WORKER, _RECORDER, _SUPERVISOR = map(_Declare, Owner)

# --- workers --------------------------------------------------------------------------------------

FRAMES = _WORKER.counter(
    "maskwatch_frames_total",
    "Frames by fate: decoded; sampled for analysis; skipped because a newer one was available; "
    "damaged; no_key: before the first key picture; late and therefore not decoded; missed: due for "
    "analysis, but late; reduced: due at the asked rate, but not at the lowered one; gated because "
    "nothing moved; analysed.",
    _CAMERA,
    _closed("fate", FRAME_FATES),
)
ANALYSED_RATIO = _WORKER.gauge(
    "maskwatch_camera_analysed_ratio",
    "Share of the frames due in the last minute that were analysed, or skipped since nothing moved.",
    _CAMERA,
)
DECODE_SECONDS = _WORKER.seconds(
    "maskwatch_decode_seconds", "Time to decode one packet.", _STEP, _CAMERA
)
DETECT_SECONDS = _WORKER.seconds(
    "maskwatch_detect_seconds", "Time to find the faces of one frame.", _STEP, _CAMERA
)
CLASSIFY_SECONDS = _WORKER.seconds(
    "maskwatch_classify_seconds", "Time to classify the faces of one frame.", _STEP, _CAMERA
)
CAPTURE_TO_VERDICT_SECONDS = _WORKER.seconds(
    "maskwatch_capture_to_verdict_seconds",
    "From the arrival of the deciding frame to the verdict.",
    _LATENCY,
    _CAMERA,
)
RECORD_SECONDS = _WORKER.seconds(
    "maskwatch_record_seconds",
    "From handing a change to the recorder to its acknowledgement.",
    _LATENCY,
    _CAMERA,
)
DECISION_SECONDS = _WORKER.seconds(
    "maskwatch_decision_seconds",
    "From the first sight of a person to the verdict about them.",
    _DECISION,
    _CAMERA,
)
FACES = _WORKER.counter("maskwatch_faces_total", "Faces found in frames, static ones included.", _CAMERA)
READINGS = _WORKER.counter(
    "maskwatch_readings_total",
    "Faces by result: classified, or the reason for which the quality gate rejected them.",
    _CAMERA,
    _closed("result", READING_RESULTS),
)
PEOPLE = _WORKER.counter(
    "maskwatch_people_total", "Ended visits of people by final verdict.", _CAMERA, _ZONE, _VERDICT
)
PEOPLE_PRESENT = _WORKER.gauge("maskwatch_people_present", "People in view now.", _CAMERA)
VIOLATIONS = _WORKER.counter(
    "maskwatch_violations_total", "Violations opened.", _CAMERA, _ZONE, _VIOLATION_VERDICT
)
VIOLATIONS_OPEN = _WORKER.gauge(
    "maskwatch_violations_open", "Violations that are not closed yet.", _CAMERA
)
UPDATES_HELD = _WORKER.counter(
    "maskwatch_updates_held_total", "Updates of violations that the cooldown held back.", _CAMERA
)
CHANGES_UNACKNOWLEDGED = _WORKER.gauge(
    "maskwatch_changes_unacknowledged", "Changes that the recorder has not acknowledged yet.", _CAMERA
)
CHANGES_DROPPED = _WORKER.counter(
    "maskwatch_changes_dropped_total",
    "Changes dropped because too many waited for the recorder.",
    _CAMERA,
)
DISCONNECTS = _WORKER.counter(
    "maskwatch_camera_disconnects_total",
    "Connections that failed or ended, by reason.",
    _CAMERA,
    _closed("reason", DISCONNECT_REASONS),
)
BACKOFF_SECONDS = _WORKER.gauge(
    "maskwatch_camera_backoff_seconds",
    "Length of the current pause before the next attempt to connect; 0 if there is none.",
    _CAMERA,
    unit="seconds",
)
MODEL_INFO = _WORKER.gauge("maskwatch_model_info", "The mask model in use; always 1.", _CAMERA, _MODEL)

# --- recorder -------------------------------------------------------------------------------------

CHANGES_RECORDED = _RECORDER.counter(
    "maskwatch_changes_recorded_total", "Changes committed to the database, by kind.", _CHANGE
)
COMMIT_SECONDS = _RECORDER.seconds(
    "maskwatch_commit_seconds", "Time to write a change and its picture to disk, fsyncs included.", _DISK
)
PICTURES = _RECORDER.counter(
    "maskwatch_pictures_total", "Pictures of violations by fate.", _closed("fate", PICTURE_FATES)
)
ALERTS = _RECORDER.counter(
    "maskwatch_alerts_total",
    "Finished attempts to deliver an alert, by sink and fate.",
    _SINK,
    _closed("fate", DELIVERY_FATES),
)
CAPTURE_TO_PUBLISH_SECONDS = _RECORDER.seconds(
    "maskwatch_capture_to_publish_seconds",
    "From the arrival of the frame that caused a change to the acknowledgement of its alert.",
    _LATENCY,
    _SINK,
)
OUTBOX_PENDING = _RECORDER.gauge("maskwatch_outbox_pending", "Alerts that are not delivered yet.", _SINK)
OUTBOX_OLDEST_SECONDS = _RECORDER.gauge(
    "maskwatch_outbox_oldest_seconds",
    "Age of the oldest alert that is not delivered yet; 0 if there is none.",
    _SINK,
    unit="seconds",
)
OUTBOX_PARKED = _RECORDER.gauge(
    "maskwatch_outbox_parked",
    "Alerts that are not retried any more: the sink refused them while it accepted others.",
    _SINK,
)
OUTBOX_PARKED_REASONS = _RECORDER.gauge(
    "maskwatch_outbox_parked_reasons",
    "Alerts that are not retried any more, by reason; behind: an earlier change is parked.",
    _SINK,
    _closed("reason", PARKED_REASONS),
)
SINK_READY = _RECORDER.gauge(
    "maskwatch_sink_ready", "1 while the sink accepts deliveries, else 0.", _SINK
)
CHANGES_SILENCED = _RECORDER.counter(
    "maskwatch_changes_silenced_total",
    "Changes that were stored but not sent because the camera is snoozed.",
    _CAMERA,
)
CAMERA_SNOOZED = _RECORDER.gauge(
    "maskwatch_camera_snoozed",
    "1 while the camera is snoozed: its new violations are stored but not sent; else 0.",
    _CAMERA,
)
ALERTS_UNSTORED = _RECORDER.gauge(
    "maskwatch_alerts_unstored", "Changes held in memory only because the disk is full."
)
STORE_BYTES = _RECORDER.gauge(
    "maskwatch_store_bytes",
    "Bytes in use by part; for the database, its used pages.",
    _closed("part", STORE_PARTS),
    unit="bytes",
)
STORE_FREE_BYTES = _RECORDER.gauge(
    "maskwatch_store_free_bytes", "Bytes free on the file system of the data directory.", unit="bytes"
)
STORE_FREE_INODES = _RECORDER.gauge(
    "maskwatch_store_free_inodes",
    "Files that can still be created on the file system of the data directory, where it has a limit.",
)
STORE_RESERVE_BYTES = _RECORDER.gauge(
    "maskwatch_store_reserve_bytes", "Bytes still reserved for rows when the disk is full.", unit="bytes"
)
STORE_ERROR_COUNT = _RECORDER.counter(
    "maskwatch_store_errors_total",
    "Failed writes to the store, by reason.",
    _closed("reason", STORE_ERRORS),
)
RETENTION_LAST_SUCCESS = _RECORDER.gauge(
    "maskwatch_retention_last_success_timestamp_seconds",
    "Unix time of the end of the last complete pass of retention.",
    unit="seconds",
)
RETENTION_SECONDS = _RECORDER.seconds(
    "maskwatch_retention_seconds", "Time of one pass of retention.", _PASS
)
RETENTION_REMOVED = _RECORDER.counter(
    "maskwatch_retention_removed_total",
    "Items that retention removed, by kind.",
    _closed("kind", RETENTION_KINDS),
)
INCIDENTS = _RECORDER.counter("maskwatch_incidents_total", "Incidents opened, by kind.", _INCIDENT)
INCIDENTS_OPEN = _RECORDER.gauge("maskwatch_incidents_open", "Open incidents, by kind.", _INCIDENT)

# --- supervisor -----------------------------------------------------------------------------------

BUILD_INFO = _SUPERVISOR.gauge("maskwatch_build_info", "The running version; always 1.", _VERSION)
START_TIME = _SUPERVISOR.gauge(
    "maskwatch_start_timestamp_seconds", "Unix time at which the daemon started.", unit="seconds"
)
CAMERA_STATE = _SUPERVISOR.gauge(
    "maskwatch_camera_state",
    "1 for the camera's current state, 0 for every other state.",
    _CAMERA,
    _STATE,
)
CAMERA_LAST_FRAME = _SUPERVISOR.gauge(
    "maskwatch_camera_last_frame_timestamp_seconds",
    "Unix time at which the newest processed frame arrived.",
    _CAMERA,
    unit="seconds",
)
ASKED_RATE = _SUPERVISOR.gauge(
    "maskwatch_camera_asked_rate", "Frames to analyse per second, by the configuration.", _CAMERA
)
CURRENT_RATE = _SUPERVISOR.gauge(
    "maskwatch_camera_current_rate",
    "Frames to analyse per second of a live camera; lower than asked on a machine that is too slow.",
    _CAMERA,
)
RESTARTS = _SUPERVISOR.counter(
    "maskwatch_process_restarts_total",
    "Restarts of processes, by reason.",
    _PROCESS,
    _OF_CAMERA,
    _closed("reason", RESTART_REASONS),
)
RESIDENT_MEMORY = _SUPERVISOR.gauge(
    "maskwatch_process_resident_memory_bytes",
    "Resident memory of each process.",
    _PROCESS,
    _OF_CAMERA,
    unit="bytes",
)
CPU_SECONDS = _SUPERVISOR.counter(
    "maskwatch_process_cpu_seconds_total",
    "Processor time, user and system, of each process.",
    _PROCESS,
    _OF_CAMERA,
    unit="seconds",
)
OPEN_FDS = _SUPERVISOR.gauge(
    "maskwatch_process_open_fds", "Open file descriptors of each process.", _PROCESS, _OF_CAMERA
)
RELOADS = _SUPERVISOR.counter(
    "maskwatch_config_reloads_total",
    "Reloads of the configuration by result.",
    _closed("result", RELOAD_RESULTS),
)
RELOAD_OK = _SUPERVISOR.gauge(
    "maskwatch_config_last_reload_successful",
    "1 if the last reload was accepted, 0 if the file was rejected and the old configuration runs on.",
)
RELOAD_TIME = _SUPERVISOR.gauge(
    "maskwatch_config_last_reload_success_timestamp_seconds",
    "Unix time at which the running configuration was loaded.",
    unit="seconds",
)
COMMANDS = _SUPERVISOR.counter(
    "maskwatch_commands_total",
    "Commands by verb and result.",
    _closed("verb", COMMAND_VERBS),
    _closed("result", COMMAND_RESULTS),
)
SAMPLES_REJECTED = _SUPERVISOR.counter(
    "maskwatch_samples_rejected_total",
    "Samples of child processes that were rejected because the catalogue does not allow them.",
    _PROCESS,
)


def problem(name: str, labels: Mapping[str, str]) -> str:
    """Return why a sample is not in the catalogue, "" if it is."""
    metric = METRICS.get(name)
    if metric is None:
        return f"unknown metric {name!r}"
    if {label.name for label in metric.labels} != labels.keys():
        expected = ", ".join(label.name for label in metric.labels) or "none"
        return f"{name}: labels are {', '.join(sorted(labels)) or 'none'}; expected {expected}"
    for label in metric.labels:
        if label.values is not None and labels[label.name] not in label.values:
            return f"{name}: {label.name}={labels[label.name]!r} is not one of {', '.join(label.values)}"
    return ""
