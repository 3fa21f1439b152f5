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
_PROCESS = _closed("process", Owner)

FRAME_FATES = ("decoded", "sampled", "skipped", "damaged", "late", "gated", "analysed")
READING_RESULTS = ("classified", *GateReason)
DISCONNECT_REASONS = (
    "refused",
    "unreachable",
    "unauthorized",
    "login_method",
    "redirected",
    "not_found",
    "silent",
    "garbage",
    "no_video",
    "too_large",
    "ended",
    "stalled",
    "other",
)
RESTART_REASONS = ("exited", "killed", "hung", "misbehaved", "memory", "start_failed", "config")
DELIVERY_FATES = ("accepted", "refused", "failed")
PICTURE_FATES = ("written", "failed")
STORE_PARTS = ("database", "wal", "pictures")
STORE_ERRORS = ("locked", "full", "damaged", "io")
RETENTION_KINDS = ("picture", "violation", "occupancy", "orphan")
RELOAD_RESULTS = ("ok", "refused")
COMMAND_VERBS = ("enable", "disable", "snooze", "snapshot", "acknowledge", "reload", "other")
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


def _counter(name: str, owner: Owner, text: str, *labels: Label, unit: str = "") -> str:
    return _add(Metric(name, MetricKind.COUNTER, owner, text, labels, unit))


def _gauge(name: str, owner: Owner, text: str, *labels: Label, unit: str = "") -> str:
    return _add(Metric(name, MetricKind.GAUGE, owner, text, labels, unit))


def _seconds(name: str, owner: Owner, text: str, buckets: tuple[float, ...], *labels: Label) -> str:
    return _add(Metric(name, MetricKind.HISTOGRAM, owner, text, labels, "seconds", buckets))


# --- workers --------------------------------------------------------------------------------------

FRAMES = _counter(
    "maskwatch_frames_total",
    Owner.WORKER,
    "Frames by fate: decoded; sampled for analysis; skipped because a newer one was available; "
    "damaged; late and therefore not decoded; gated because nothing moved; analysed.",
    _CAMERA,
    _closed("fate", FRAME_FATES),
)
DECODE_SECONDS = _seconds(
    "maskwatch_decode_seconds", Owner.WORKER, "Time to decode one packet.", _STEP, _CAMERA
)
DETECT_SECONDS = _seconds(
    "maskwatch_detect_seconds", Owner.WORKER, "Time to find the faces of one frame.", _STEP, _CAMERA
)
CLASSIFY_SECONDS = _seconds(
    "maskwatch_classify_seconds",
    Owner.WORKER,
    "Time to classify the faces of one frame.",
    _STEP,
    _CAMERA,
)
CAPTURE_TO_VERDICT_SECONDS = _seconds(
    "maskwatch_capture_to_verdict_seconds",
    Owner.WORKER,
    "From the arrival of the deciding frame to the verdict.",
    _LATENCY,
    _CAMERA,
)
RECORD_SECONDS = _seconds(
    "maskwatch_record_seconds",
    Owner.WORKER,
    "From handing a change to the recorder to its acknowledgement.",
    _LATENCY,
    _CAMERA,
)
DECISION_SECONDS = _seconds(
    "maskwatch_decision_seconds",
    Owner.WORKER,
    "From the first sight of a person to the verdict about them.",
    _DECISION,
    _CAMERA,
)
FACES = _counter(
    "maskwatch_faces_total", Owner.WORKER, "Faces found in frames, static ones included.", _CAMERA
)
READINGS = _counter(
    "maskwatch_readings_total",
    Owner.WORKER,
    "Faces by result: classified, or the reason for which the quality gate rejected them.",
    _CAMERA,
    _closed("result", READING_RESULTS),
)
PEOPLE = _counter(
    "maskwatch_people_total",
    Owner.WORKER,
    "Ended visits of people by final verdict.",
    _CAMERA,
    _ZONE,
    _VERDICT,
)
PEOPLE_PRESENT = _gauge("maskwatch_people_present", Owner.WORKER, "People in view now.", _CAMERA)
VIOLATIONS = _counter(
    "maskwatch_violations_total", Owner.WORKER, "Violations opened.", _CAMERA, _ZONE, _VIOLATION_VERDICT
)
VIOLATIONS_OPEN = _gauge(
    "maskwatch_violations_open", Owner.WORKER, "Violations that are not closed yet.", _CAMERA
)
UPDATES_HELD = _counter(
    "maskwatch_updates_held_total",
    Owner.WORKER,
    "Updates of violations that the cooldown held back.",
    _CAMERA,
)
CHANGES_UNACKNOWLEDGED = _gauge(
    "maskwatch_changes_unacknowledged",
    Owner.WORKER,
    "Changes that the recorder has not acknowledged yet.",
    _CAMERA,
)
CHANGES_DROPPED = _counter(
    "maskwatch_changes_dropped_total",
    Owner.WORKER,
    "Changes dropped because too many waited for the recorder.",
    _CAMERA,
)
DISCONNECTS = _counter(
    "maskwatch_camera_disconnects_total",
    Owner.WORKER,
    "Connections that failed or ended, by reason.",
    _CAMERA,
    _closed("reason", DISCONNECT_REASONS),
)
BACKOFF_SECONDS = _gauge(
    "maskwatch_camera_backoff_seconds",
    Owner.WORKER,
    "Length of the current pause before the next attempt to connect; 0 if there is none.",
    _CAMERA,
    unit="seconds",
)
MODEL_INFO = _gauge(
    "maskwatch_model_info", Owner.WORKER, "The mask model in use; always 1.", _CAMERA, _MODEL
)

# --- recorder -------------------------------------------------------------------------------------

CHANGES_RECORDED = _counter(
    "maskwatch_changes_recorded_total",
    Owner.RECORDER,
    "Changes committed to the database, by kind.",
    _CHANGE,
)
COMMIT_SECONDS = _seconds(
    "maskwatch_commit_seconds",
    Owner.RECORDER,
    "Time to write a change and its picture to disk, fsyncs included.",
    _DISK,
)
PICTURES = _counter(
    "maskwatch_pictures_total",
    Owner.RECORDER,
    "Pictures of violations by fate.",
    _closed("fate", PICTURE_FATES),
)
ALERTS = _counter(
    "maskwatch_alerts_total",
    Owner.RECORDER,
    "Finished attempts to deliver an alert, by sink and fate.",
    _SINK,
    _closed("fate", DELIVERY_FATES),
)
CAPTURE_TO_PUBLISH_SECONDS = _seconds(
    "maskwatch_capture_to_publish_seconds",
    Owner.RECORDER,
    "From the arrival of the frame that caused a change to the acknowledgement of its alert.",
    _LATENCY,
    _SINK,
)
OUTBOX_PENDING = _gauge(
    "maskwatch_outbox_pending", Owner.RECORDER, "Alerts that are not delivered yet.", _SINK
)
OUTBOX_OLDEST_SECONDS = _gauge(
    "maskwatch_outbox_oldest_seconds",
    Owner.RECORDER,
    "Age of the oldest alert that is not delivered yet; 0 if there is none.",
    _SINK,
    unit="seconds",
)
OUTBOX_PARKED = _gauge(
    "maskwatch_outbox_parked", Owner.RECORDER, "Alerts that the sink rejected permanently.", _SINK
)
SINK_READY = _gauge(
    "maskwatch_sink_ready", Owner.RECORDER, "1 while the sink accepts deliveries, else 0.", _SINK
)
CHANGES_SILENCED = _counter(
    "maskwatch_changes_silenced_total",
    Owner.RECORDER,
    "Changes that were stored but not sent because the camera is snoozed.",
    _CAMERA,
)
CAMERA_SNOOZED = _gauge(
    "maskwatch_camera_snoozed",
    Owner.RECORDER,
    "1 while the camera is snoozed: its new violations are stored but not sent; else 0.",
    _CAMERA,
)
ALERTS_UNSTORED = _gauge(
    "maskwatch_alerts_unstored", Owner.RECORDER, "Changes held in memory only because the disk is full."
)
STORE_BYTES = _gauge(
    "maskwatch_store_bytes",
    Owner.RECORDER,
    "Bytes in use by part; for the database, its used pages.",
    _closed("part", STORE_PARTS),
    unit="bytes",
)
STORE_FREE_BYTES = _gauge(
    "maskwatch_store_free_bytes",
    Owner.RECORDER,
    "Bytes free on the file system of the data directory.",
    unit="bytes",
)
STORE_RESERVE_BYTES = _gauge(
    "maskwatch_store_reserve_bytes",
    Owner.RECORDER,
    "Bytes still reserved for rows when the disk is full.",
    unit="bytes",
)
STORE_ERROR_COUNT = _counter(
    "maskwatch_store_errors_total",
    Owner.RECORDER,
    "Failed writes to the store, by reason.",
    _closed("reason", STORE_ERRORS),
)
RETENTION_LAST_SUCCESS = _gauge(
    "maskwatch_retention_last_success_timestamp_seconds",
    Owner.RECORDER,
    "Unix time of the end of the last complete pass of retention.",
    unit="seconds",
)
RETENTION_SECONDS = _seconds(
    "maskwatch_retention_seconds", Owner.RECORDER, "Time of one pass of retention.", _PASS
)
RETENTION_REMOVED = _counter(
    "maskwatch_retention_removed_total",
    Owner.RECORDER,
    "Items that retention removed, by kind.",
    _closed("kind", RETENTION_KINDS),
)
INCIDENTS = _counter(
    "maskwatch_incidents_total", Owner.RECORDER, "Incidents opened, by kind.", _INCIDENT
)
INCIDENTS_OPEN = _gauge(
    "maskwatch_incidents_open", Owner.RECORDER, "Open incidents, by kind.", _INCIDENT
)

# --- supervisor -----------------------------------------------------------------------------------

BUILD_INFO = _gauge("maskwatch_build_info", Owner.SUPERVISOR, "The running version; always 1.", _VERSION)
START_TIME = _gauge(
    "maskwatch_start_timestamp_seconds",
    Owner.SUPERVISOR,
    "Unix time at which the daemon started.",
    unit="seconds",
)
CAMERA_STATE = _gauge(
    "maskwatch_camera_state",
    Owner.SUPERVISOR,
    "1 for the camera's current state, 0 for every other state.",
    _CAMERA,
    _STATE,
)
CAMERA_LAST_FRAME = _gauge(
    "maskwatch_camera_last_frame_timestamp_seconds",
    Owner.SUPERVISOR,
    "Unix time at which the newest processed frame arrived.",
    _CAMERA,
    unit="seconds",
)
RESTARTS = _counter(
    "maskwatch_process_restarts_total",
    Owner.SUPERVISOR,
    "Restarts of processes, by reason.",
    _PROCESS,
    _OF_CAMERA,
    _closed("reason", RESTART_REASONS),
)
RESIDENT_MEMORY = _gauge(
    "maskwatch_process_resident_memory_bytes",
    Owner.SUPERVISOR,
    "Resident memory of each process.",
    _PROCESS,
    _OF_CAMERA,
    unit="bytes",
)
CPU_SECONDS = _counter(
    "maskwatch_process_cpu_seconds_total",
    Owner.SUPERVISOR,
    "Processor time, user and system, of each process.",
    _PROCESS,
    _OF_CAMERA,
    unit="seconds",
)
OPEN_FDS = _gauge(
    "maskwatch_process_open_fds",
    Owner.SUPERVISOR,
    "Open file descriptors of each process.",
    _PROCESS,
    _OF_CAMERA,
)
RELOADS = _counter(
    "maskwatch_config_reloads_total",
    Owner.SUPERVISOR,
    "Reloads of the configuration by result.",
    _closed("result", RELOAD_RESULTS),
)
RELOAD_OK = _gauge(
    "maskwatch_config_last_reload_successful",
    Owner.SUPERVISOR,
    "1 if the last reload was accepted, 0 if the file was rejected and the old configuration runs on.",
)
RELOAD_TIME = _gauge(
    "maskwatch_config_last_reload_success_timestamp_seconds",
    Owner.SUPERVISOR,
    "Unix time at which the running configuration was loaded.",
    unit="seconds",
)
COMMANDS = _counter(
    "maskwatch_commands_total",
    Owner.SUPERVISOR,
    "Commands by verb and result.",
    _closed("verb", COMMAND_VERBS),
    _closed("result", COMMAND_RESULTS),
)
SAMPLES_REJECTED = _counter(
    "maskwatch_samples_rejected_total",
    Owner.SUPERVISOR,
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
