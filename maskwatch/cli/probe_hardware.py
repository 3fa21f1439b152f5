"""`maskwatch probe --hardware`: what this machine has to decode video and to run the mask model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.files import json_text

if TYPE_CHECKING:
    from maskwatch.lab.hardware import Trial

_RATE = 25  # pictures a second of a camera


def probe_hardware(delegates: Sequence[Path], *, as_json: bool) -> None:
    """Try decoders and delegates; print the time of each, or why it cannot be used."""
    from maskwatch.lab.hardware import DELEGATES, SIZE, instructions, trials
    from maskwatch.lab.machine import cores, machine

    libraries = {**DELEGATES, **{str(path): str(path) for path in delegates}}
    sets = instructions()
    if not as_json:
        click.echo(f"{machine()}\n  {cores():g} cores usable; instructions: {', '.join(sets) or '-'}")
        click.echo(f"  pictures of {SIZE[0]}x{SIZE[1]}, one thread")
    found = []
    click.echo("  preparing clips\r", err=True, nl=False)
    for trial in trials(libraries):
        found.append(trial)
        click.echo(f"  {len(found)} tried     \r", err=True, nl=False)
        if not as_json:
            click.echo(_line(trial))
    if as_json:
        about = {"machine": machine(), "cores": cores(), "instructions": sets}
        click.echo(json_text({**about, "trials": [asdict(trial) for trial in found]}))


def _line(trial: Trial) -> str:
    head = f"  {trial.task:<12} {trial.way:<9} "
    if trial.milliseconds is None or trial.processor is None:
        return f"{head}not available: {trial.reason}"
    if not trial.task.startswith("decode"):
        return f"{head}{trial.milliseconds:6.2f} ms a face, {trial.processor:.2f} ms of the processor"
    cameras = 1000 / (_RATE * max(trial.processor, 0.01))
    return (
        f"{head}{trial.milliseconds:6.2f} ms a picture, {trial.processor:.2f} ms of the processor: "
        f"decodes {cameras:.1f} cameras a core at {_RATE} pictures a second"
    )
