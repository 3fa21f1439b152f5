"""Writes what is made from code: run it after a change of keys, exit codes, topics or metrics.

    python -m tools.reference

It writes config.example.yaml and docs/schemas, and fills the marked blocks of docs/configuration.md,
docs/mqtt.md and docs/metrics.md. Tests fail if one of them is not up to date.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from maskwatch.alerts.mqtt.payloads import schemas
from maskwatch.alerts.mqtt.topics import Topic
from maskwatch.telemetry.catalogue import METRICS, Label, Metric, Owner
from tools.config_reference import documents

ROOT = Path(__file__).resolve().parents[1]

_OPEN_LABELS = {
    "camera": "a camera's name",
    "zone": "a zone's name, empty for the whole picture",
    "sink": "a sink's name",
    "model": "a model's id",
    "version": "a version",
}


def topic_table() -> str:
    """Return the table of topics in Markdown."""
    lines = ["| topic | direction | retained | MQTT 5 expiry | payload |", "|---|---|---|---|---|"]
    for topic in Topic:
        row = topic.value
        payload = f"[{row.schema}](schemas/{row.schema}.json)" if row.schema else f"`{row.content}`"
        cells = [
            f"`{row.pattern}`<br>{row.about}",
            "to maskwatch" if row.incoming else "from maskwatch",
            "yes" if row.retained else "no",
            f"{row.expiry} s" if row.expiry else "none",
            payload,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def metric_tables() -> str:
    """Return a table of metrics for each process in Markdown."""
    return "\n\n".join(f"### Counted by the {owner}\n\n{_metric_table(owner)}" for owner in Owner)


def _metric_table(owner: Owner) -> str:
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS.values():
        if metric.owner is owner:
            labels = "<br>".join(_label(label) for label in metric.labels)
            lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {_meaning(metric)} |")
    return "\n".join(lines)


def _label(label: Label) -> str:
    if label.values is None:
        return f"`{label.name}`: {_OPEN_LABELS[label.name]}"
    return f"`{label.name}`: " + ", ".join(f"`{value}`" for value in label.values)


def _meaning(metric: Metric) -> str:
    if not metric.buckets:
        return metric.help
    buckets = ", ".join(f"{bound:g}" for bound in metric.buckets)
    return f"{metric.help} Buckets: {buckets} s."


def filled(text: str, block: str, content: str) -> str:
    """Return `text` with the content between the marks of `block` replaced."""
    begin, end = f"<!-- {block} -->\n", f"<!-- end of {block} -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    assert tail, block
    return f"{head}{begin}\n{content}\n\n{end}{tail}"


def reference() -> Iterator[tuple[Path, bytes]]:
    """Yield every file with generated parts, with its up-to-date content."""
    for path, block, content in (
        (ROOT / "docs/mqtt.md", "topics", topic_table()),
        (ROOT / "docs/metrics.md", "metrics", metric_tables()),
    ):
        yield path, filled(path.read_text("utf-8"), block, content).encode()
    for name, schema in schemas().items():
        yield ROOT / "docs/schemas" / f"{name}.json", schema
    for path, text in documents(ROOT).items():
        yield path, text.encode()


if __name__ == "__main__":
    for path, content in reference():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
