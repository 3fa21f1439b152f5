"""Writes the Grafana dashboards, with Grafana's own Foundation SDK.

    python deploy/grafana/build.py

The tables below list every panel. Tests fail when the files differ from what this writes, when a query
names a metric that is not in the catalogue, and when a real Prometheus that scrapes a real /metrics
has no data for one of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.builders import heatmap, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: `queries` are (PromQL, legend)."""

    title: str
    about: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12
    height: int = 8


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: rows of panels; `variables` are (name, label_values query)."""

    uid: str
    title: str
    about: str
    variables: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


def _p95(metric: str, by: str, where: str) -> str:
    return f"histogram_quantile(0.95, sum by ({by}, le) (rate({metric}_bucket{{{where}}}[$__rate_interval])))"


def _p50(metric: str, by: str, where: str) -> str:
    return _p95(metric, by, where).replace("0.95", "0.5", 1)


INSTANCE = ("instance", "label_values(maskwatch_build_info, instance)")
CAMERA = ("camera", 'label_values(maskwatch_camera_state{instance=~"$instance"}, camera)')
SINK = ("sink", 'label_values(maskwatch_sink_ready{instance=~"$instance"}, sink)')
AT = 'instance=~"$instance"'
OF = 'instance=~"$instance",camera=~"$camera"'
TO = 'instance=~"$instance",sink=~"$sink"'

FLEET = Board(
    "maskwatch-fleet",
    "maskwatch / fleet",
    "All nodes and cameras.",
    (INSTANCE,),
    (
        (
            "Now",
            (
                Panel(
                    "Cameras live",
                    "Cameras whose frames arrive.",
                    ((f'sum(maskwatch_camera_state{{{AT},state="live"}})', ""),),
                    kind="stat",
                    width=4,
                    height=5,
                ),
                Panel(
                    "Cameras not live",
                    "Offline, blind or quarantined; without those that are disabled.",
                    ((f'sum(maskwatch_camera_state{{{AT},state!~"live|disabled"}})', ""),),
                    kind="stat",
                    width=4,
                    height=5,
                ),
                Panel(
                    "People in view",
                    "Tracks that are in view now.",
                    ((f"sum(maskwatch_people_present{{{AT}}})", ""),),
                    kind="stat",
                    width=4,
                    height=5,
                ),
                Panel(
                    "Open violations",
                    "People in view without the required mask.",
                    ((f"sum(maskwatch_violations_open{{{AT}}})", ""),),
                    kind="stat",
                    width=4,
                    height=5,
                ),
                Panel(
                    "Alerts waiting",
                    "In the outboxes of all sinks.",
                    ((f"sum(maskwatch_outbox_pending{{{AT}}})", ""),),
                    kind="stat",
                    width=4,
                    height=5,
                ),
                Panel(
                    "Open incidents",
                    "Incidents that have not ended.",
                    ((f"sum(maskwatch_incidents_open{{{AT}}})", ""),),
                    kind="stat",
                    width=4,
                    height=5,
                ),
            ),
        ),
        (
            "Cameras",
            (
                Panel(
                    "State of each camera",
                    "1 in the state that a camera is in.",
                    ((f"maskwatch_camera_state{{{AT}}} == 1", "{{camera}}: {{state}}"),),
                    kind="states",
                    width=24,
                ),
                Panel(
                    "Frames processed per second",
                    "Analysed, or gated since nothing moved.",
                    (("maskwatch:frames_processed:rate1m{" + AT + "}", "{{camera}}"),),
                ),
                Panel(
                    "Age of the newest processed frame",
                    "Rises while no frame is processed.",
                    ((f"time() - maskwatch_camera_last_frame_timestamp_seconds{{{AT}}}", "{{camera}}"),),
                    unit="s",
                ),
                Panel(
                    "Lost connections",
                    "In the last hour, by reason.",
                    (
                        (
                            f"sum by (camera, reason) (increase(maskwatch_camera_disconnects_total{{{AT}}}[1h]))",
                            "{{camera}}: {{reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Violations per hour",
                    "Opened in the last hour.",
                    (
                        (
                            f"sum by (camera) (increase(maskwatch_violations_total{{{AT}}}[1h]))",
                            "{{camera}}",
                        ),
                    ),
                ),
            ),
        ),
        (
            "Processes",
            (
                Panel(
                    "Processor time",
                    "Cores in use by each process.",
                    (
                        (
                            f"rate(maskwatch_process_cpu_seconds_total{{{AT}}}[$__rate_interval])",
                            "{{process}} {{camera}}",
                        ),
                    ),
                    width=8,
                ),
                Panel(
                    "Resident memory",
                    "Of each process.",
                    ((f"maskwatch_process_resident_memory_bytes{{{AT}}}", "{{process}} {{camera}}"),),
                    unit="bytes",
                    width=8,
                ),
                Panel(
                    "Open file descriptors",
                    "Of each process.",
                    ((f"maskwatch_process_open_fds{{{AT}}}", "{{process}} {{camera}}"),),
                    width=8,
                ),
                Panel(
                    "Process restarts",
                    "In the last hour, by reason.",
                    (
                        (
                            f"sum by (process, camera, reason) (increase(maskwatch_process_restarts_total{{{AT}}}[1h]))",
                            "{{process}} {{camera}}: {{reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Configuration",
                    "1: the running configuration is the file's.",
                    (
                        (f"maskwatch_config_last_reload_successful{{{AT}}}", "in use"),
                        (
                            f"sum by (result) (increase(maskwatch_config_reloads_total{{{AT}}}[1h]))",
                            "reloads: {{result}}",
                        ),
                    ),
                ),
                Panel(
                    "Commands",
                    "In the last hour, by verb and result.",
                    (
                        (
                            f"sum by (verb, result) (increase(maskwatch_commands_total{{{AT}}}[1h]))",
                            "{{verb}}: {{result}}",
                        ),
                    ),
                ),
                Panel(
                    "Age",
                    "Of each daemon, and of its configuration.",
                    (
                        (f"time() - maskwatch_start_timestamp_seconds{{{AT}}}", "{{instance}}"),
                        (
                            f"time() - maskwatch_config_last_reload_success_timestamp_seconds{{{AT}}}",
                            "{{instance}} configuration",
                        ),
                    ),
                    unit="s",
                ),
                Panel(
                    "Version",
                    "What each node runs.",
                    ((f"maskwatch_build_info{{{AT}}}", "{{instance}}: {{version}}"),),
                ),
            ),
        ),
    ),
)

CAMERA_BOARD = Board(
    "maskwatch-camera",
    "maskwatch / camera",
    "One camera from the packet to the verdict.",
    (INSTANCE, CAMERA),
    (
        (
            "Picture",
            (
                Panel(
                    "Frames by fate",
                    "Per second.",
                    (
                        (
                            f"sum by (fate) (rate(maskwatch_frames_total{{{OF}}}[$__rate_interval]))",
                            "{{fate}}",
                        ),
                    ),
                ),
                Panel(
                    "Analysis rate",
                    "Frames per second: asked for by the configuration, and in force on this machine.",
                    (
                        (f"maskwatch_camera_asked_rate{{{OF}}}", "asked"),
                        (f"maskwatch_camera_current_rate{{{OF}}}", "in force"),
                    ),
                ),
                Panel(
                    "Share of due frames analysed",
                    "In the last minute; below 75 % the camera is overloaded.",
                    ((f"maskwatch_camera_analysed_ratio{{{OF}}}", "analysed"),),
                    unit="percentunit",
                ),
                Panel(
                    "Connection",
                    "Pause before the next attempt; 0 while connected.",
                    ((f"maskwatch_camera_backoff_seconds{{{OF}}}", "pause"),),
                    unit="s",
                ),
            ),
        ),
        (
            "Time",
            (
                Panel(
                    "Decode, detect, classify",
                    "95th percentile of each step.",
                    (
                        (_p95("maskwatch_decode_seconds", "camera", OF), "decode"),
                        (_p95("maskwatch_detect_seconds", "camera", OF), "detect"),
                        (_p95("maskwatch_classify_seconds", "camera", OF), "classify"),
                    ),
                    unit="s",
                ),
                Panel(
                    "Frame to verdict",
                    "From the arrival of the deciding frame.",
                    (
                        (_p50("maskwatch_capture_to_verdict_seconds", "camera", OF), "median"),
                        (_p95("maskwatch_capture_to_verdict_seconds", "camera", OF), "95th percentile"),
                    ),
                    unit="s",
                ),
                Panel(
                    "First sight to verdict",
                    "From the first detection of a person.",
                    (
                        (
                            f"sum by (le) (increase(maskwatch_decision_seconds_bucket{{{OF}}}[$__rate_interval]))",
                            "{{le}}",
                        ),
                    ),
                    unit="s",
                    kind="heatmap",
                ),
                Panel(
                    "Verdict to disk",
                    "Until the recorder acknowledged, 95th percentile.",
                    ((_p95("maskwatch_record_seconds", "camera", OF), "recorded"),),
                    unit="s",
                ),
            ),
        ),
        (
            "People",
            (
                Panel(
                    "People by verdict",
                    "Visits that ended in the last hour.",
                    (
                        (
                            f"sum by (verdict) (increase(maskwatch_people_total{{{OF}}}[1h]))",
                            "{{verdict}}",
                        ),
                    ),
                ),
                Panel(
                    "Faces by result",
                    "Classified, or the reason why not, per second.",
                    (
                        (
                            f"sum by (result) (rate(maskwatch_readings_total{{{OF}}}[$__rate_interval]))",
                            "{{result}}",
                        ),
                        (f"sum(rate(maskwatch_faces_total{{{OF}}}[$__rate_interval]))", "found"),
                    ),
                ),
                Panel(
                    "In view, and open violations",
                    "Now.",
                    (
                        (f"maskwatch_people_present{{{OF}}}", "in view"),
                        (f"maskwatch_violations_open{{{OF}}}", "violations"),
                    ),
                ),
                Panel(
                    "Updates held back",
                    "By the cooldown, in the last hour.",
                    ((f"increase(maskwatch_updates_held_total{{{OF}}}[1h])", "held back"),),
                ),
                Panel(
                    "Changes not acknowledged",
                    "Waiting for the recorder, and given up in the last hour.",
                    (
                        (f"maskwatch_changes_unacknowledged{{{OF}}}", "waiting"),
                        (f"increase(maskwatch_changes_dropped_total{{{OF}}}[1h])", "given up"),
                    ),
                ),
                Panel(
                    "Model",
                    "Which mask model each camera uses.",
                    ((f"maskwatch_model_info{{{OF}}}", "{{camera}}: {{model}}"),),
                ),
            ),
        ),
    ),
)

DELIVERY = Board(
    "maskwatch-delivery",
    "maskwatch / alert delivery",
    "From the database to the people and systems that receive alerts.",
    (INSTANCE, SINK),
    (
        (
            "Delivery",
            (
                Panel(
                    "Attempts by fate",
                    "In the last hour.",
                    (
                        (
                            f"sum by (sink, fate) (increase(maskwatch_alerts_total{{{TO}}}[1h]))",
                            "{{sink}}: {{fate}}",
                        ),
                    ),
                ),
                Panel(
                    "Frame to acknowledgement",
                    "From the arrival of the frame to the peer's answer.",
                    (
                        (_p50("maskwatch_capture_to_publish_seconds", "sink", TO), "{{sink}} median"),
                        (
                            _p95("maskwatch_capture_to_publish_seconds", "sink", TO),
                            "{{sink}} 95th percentile",
                        ),
                    ),
                    unit="s",
                ),
                Panel(
                    "Alerts waiting and parked",
                    "Waiting for the sink; parked until `maskwatch alerts retry`, as it refused them.",
                    (
                        (f"maskwatch_outbox_pending{{{TO}}}", "{{sink}} waiting"),
                        (f"maskwatch_outbox_parked{{{TO}}}", "{{sink}} parked"),
                        (
                            f"maskwatch_outbox_parked_reasons{{{TO}}} > 0",
                            "{{sink}} parked: {{reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Age of the oldest alert",
                    "That is not delivered yet.",
                    ((f"maskwatch_outbox_oldest_seconds{{{TO}}}", "{{sink}}"),),
                    unit="s",
                ),
                Panel(
                    "Sink ready",
                    "1 while the sink takes alerts.",
                    ((f"maskwatch_sink_ready{{{TO}}}", "{{sink}}"),),
                ),
                Panel(
                    "Incidents",
                    "Begun in the last day, and open now.",
                    (
                        (
                            f"sum by (kind) (increase(maskwatch_incidents_total{{{AT}}}[1d]))",
                            "{{kind}} begun",
                        ),
                        (f"sum by (kind) (maskwatch_incidents_open{{{AT}}})", "{{kind}} open"),
                    ),
                ),
                Panel(
                    "Held back by snoozes",
                    "1 while a camera is snoozed; changes stored without an alert in the last hour.",
                    (
                        (f"maskwatch_camera_snoozed{{{AT}}}", "{{camera}} snoozed"),
                        (
                            f"sum by (camera) (increase(maskwatch_changes_silenced_total{{{AT}}}[1h]))",
                            "{{camera}} changes",
                        ),
                    ),
                    width=24,
                    height=6,
                ),
            ),
        ),
        (
            "Store",
            (
                Panel(
                    "Changes recorded",
                    "Per minute, by kind.",
                    (
                        (
                            f"60 * sum by (change) (rate(maskwatch_changes_recorded_total{{{AT}}}[$__rate_interval]))",
                            "{{change}}",
                        ),
                    ),
                ),
                Panel(
                    "Commit",
                    "Time to disk, fsyncs included.",
                    (
                        (
                            f"histogram_quantile(0.5, sum by (le) (rate(maskwatch_commit_seconds_bucket{{{AT}}}[$__rate_interval])))",
                            "median",
                        ),
                        (
                            f"histogram_quantile(0.95, sum by (le) (rate(maskwatch_commit_seconds_bucket{{{AT}}}[$__rate_interval])))",
                            "95th percentile",
                        ),
                    ),
                    unit="s",
                ),
                Panel(
                    "Space",
                    "In use by part, free, and in reserve.",
                    (
                        (f"maskwatch_store_bytes{{{AT}}}", "{{part}}"),
                        (f"maskwatch_store_free_bytes{{{AT}}}", "free"),
                        (f"maskwatch_store_reserve_bytes{{{AT}}}", "reserve"),
                    ),
                    unit="bytes",
                ),
                Panel(
                    "Inodes",
                    "Files that can still be created beside the database.",
                    ((f"maskwatch_store_free_inodes{{{AT}}}", "free"),),
                ),
                Panel(
                    "Trouble",
                    "Failed writes and pictures in the last hour; changes in memory only.",
                    (
                        (
                            f"sum by (reason) (increase(maskwatch_store_errors_total{{{AT}}}[1h]))",
                            "{{reason}}",
                        ),
                        (
                            f"sum by (fate) (increase(maskwatch_pictures_total{{{AT}}}[1h]))",
                            "pictures {{fate}}",
                        ),
                        (f"maskwatch_alerts_unstored{{{AT}}}", "in memory only"),
                    ),
                ),
                Panel(
                    "Retention: last success",
                    "Age of the last complete pass.",
                    ((f"time() - maskwatch_retention_last_success_timestamp_seconds{{{AT}}}", "age"),),
                    unit="s",
                ),
                Panel(
                    "Retention: removed",
                    "In the last day, and the time of a pass.",
                    (
                        (
                            f"sum by (kind) (increase(maskwatch_retention_removed_total{{{AT}}}[1d]))",
                            "{{kind}}",
                        ),
                        (f"increase(maskwatch_retention_seconds_sum{{{AT}}}[1d])", "seconds spent"),
                    ),
                ),
                Panel(
                    "Unknown metrics",
                    "Samples left out since they are not in the catalogue.",
                    ((f"sum by (process) (maskwatch_samples_rejected_total{{{AT}}})", "{{process}}"),),
                ),
            ),
        ),
    ),
)

COMPLIANCE = Board(
    "maskwatch-compliance",
    "maskwatch / compliance",
    "How many people wear a mask, over time.",
    (INSTANCE, CAMERA),
    (
        (
            "Compliance",
            (
                Panel(
                    "Masked of judged people",
                    "In six hours; gaps where no person was judged.",
                    (("maskwatch:compliance:ratio6h{" + OF + "}", "{{camera}}"),),
                    unit="percentunit",
                    width=24,
                ),
                Panel(
                    "People judged",
                    "In six hours.",
                    (("maskwatch:people_judged:increase6h{" + OF + "}", "{{camera}}"),),
                ),
                Panel(
                    "People not judged",
                    "Share of all people in six hours: too far, turned away, too short in view.",
                    (("maskwatch:unknown:ratio6h{" + OF + "}", "{{camera}}"),),
                    unit="percentunit",
                ),
                Panel(
                    "People by verdict",
                    "Per hour.",
                    (
                        (
                            f"sum by (verdict) (increase(maskwatch_people_total{{{OF}}}[1h]))",
                            "{{verdict}}",
                        ),
                    ),
                ),
                Panel(
                    "Violations by zone",
                    "Opened per hour.",
                    (
                        (
                            f"sum by (camera, zone, verdict) (increase(maskwatch_violations_total{{{OF}}}[1h]))",
                            "{{camera}} {{zone}} {{verdict}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)

BOARDS = (FLEET, CAMERA_BOARD, DELIVERY, COMPLIANCE)

_KINDS = {
    "timeseries": timeseries.Panel,
    "stat": stat.Panel,
    "heatmap": heatmap.Panel,
    "states": statetimeline.Panel,
}


def panel(spec: Panel):
    """Return the SDK's builder of a panel."""
    builder = (
        _KINDS[spec.kind]()
        .title(spec.title)
        .description(spec.about)
        .datasource(SOURCE)
        .span(spec.width)
        .height(spec.height)
    )
    if spec.kind != "heatmap":
        builder = builder.unit(spec.unit)
    if spec.kind == "timeseries":
        legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST)
        legend = legend.placement(LegendPlacement.BOTTOM).show_legend(True)
        builder = builder.legend(legend).min(0)
    for number, (expr, name) in enumerate(spec.queries):
        query = Dataquery().expr(expr).legend_format(name).ref_id(chr(ord("A") + number))
        if spec.kind == "heatmap":
            query = query.format(PromQueryFormat.HEATMAP)
        builder = builder.with_target(query)
    return builder


def dashboard(board: Board) -> str:
    """Return a dashboard as JSON."""
    builder = (
        Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["maskwatch"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for name, query in board.variables:
        variable = QueryVariable(name).datasource(SOURCE).query(query).multi(True).include_all(True)
        builder = builder.with_variable(variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED))
    for title, panels in board.rows:
        builder = builder.with_row(Row(title))
        for spec in panels:
            builder = builder.with_panel(panel(spec))
    encoded = json.loads(JSONEncoder().encode(builder.build()))
    return json.dumps(_without_nulls(encoded), sort_keys=True, indent=2) + "\n"


def _without_nulls(value: object) -> object:
    """Return JSON without keys that say nothing: to Grafana, null options are no default ones."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def files() -> dict[Path, str]:
    """Return every file with its content."""
    return {FOLDER / f"{board.uid}.json": dashboard(board) for board in BOARDS}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
