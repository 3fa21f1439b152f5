"""`maskwatch replay`: the pipeline over a recorded file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from maskwatch.worker.replay import ReplayedChange

__all__ = ["replay"]


@click.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="Configuration file; without one, every default.",
)
@click.option("--camera", help="Whose rules to use; needed when the file has several cameras.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per change.")
def replay(clip: Path, config_file: Path | None, camera: str | None, as_json: bool) -> None:
    """Run the pipeline over a recorded file, on the file's own clock."""
    from maskwatch.config.load import load
    from maskwatch.worker.replay import Replay, choose_camera, default_config

    config = load(config_file) if config_file else default_config(clip)
    run = Replay(clip, config, choose_camera(config, camera))
    for change in run.changes():
        click.echo(_json(change) if as_json else _line(change))


def _json(change: ReplayedChange) -> str:
    import msgspec

    return msgspec.json.encode(change, order="deterministic").decode()


def _line(replayed: ReplayedChange) -> str:
    change = replayed.change
    violation = change.violation
    what = violation.verdict.value.replace("_", " ")
    end = f", {violation.close_reason.value}" if violation.close_reason else ""
    where = f" in {violation.zone}" if violation.zone else ""
    return (
        f"{replayed.moment:8.2f} s  {change.kind.value:8}{what}{where}, person {violation.track}, "
        f"confidence {violation.confidence:.3f}, {violation.readings} readings{end}"
    )
