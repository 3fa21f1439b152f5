"""`maskwatch models`: list, show and verify mask models, and put one in use."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.errors import ConfigError, ManifestError, UsageError

if TYPE_CHECKING:
    from maskwatch.vision.manifest import Figure, Manifest

_Path = click.Path(path_type=Path)
# The line of the key `model`; and what precedes every key: a BOM, and comments up to the line `---`.
_MODEL = re.compile(r"""^(?:model|"model"|'model')[ \t]*:[^\r\n]*""", re.MULTILINE)
_LOWER_IS_BETTER = re.compile(r"\b(error|errors|loss|false|missed|seconds|milliseconds)\b")
_PREAMBLE = re.compile(r"\ufeff?(?:(?:[ \t]*(?:#[^\n]*)?\n)*---[ \t]*(?:#[^\n]*)?\r?\n)?")


@click.group()
def models() -> None:
    r"""List, show and verify mask models, and put one in use.

    \b
    Examples:
      maskwatch models list
      maskwatch models show
      maskwatch models verify runs/cctv-112/cctv-112.json
      maskwatch models use runs/cctv-112/cctv-112.json --config config.yaml
    """


@models.command("list")
def list_() -> None:
    r"""List the shipped models; the default has a star.

    \b
    Examples:
      maskwatch models list
    """
    from maskwatch.vision.manifest import DEFAULT_MODEL, read_manifest, shipped_manifests

    for path in shipped_manifests():
        manifest = read_manifest(path)
        star = "*" if path.stem == DEFAULT_MODEL else " "
        size = (path.parent / manifest.file).stat().st_size / 1024
        click.echo(f"{star} {manifest.id:16} {size:6.0f} KiB  {manifest.description}")


@models.command()
@click.argument("manifest", type=_Path, required=False)
def show(manifest: Path | None) -> None:
    r"""Show MANIFEST, or that of the default model, with all measured figures.

    \b
    Examples:
      maskwatch models show
      maskwatch models show runs/cctv-112/cctv-112.json
    """
    from maskwatch.vision.manifest import read_manifest

    path = _path(manifest)
    found = read_manifest(path)
    read = found.input
    click.echo(f"{found.id}: {found.description}\n{path}")
    click.echo(f"created {found.created.isoformat()}, licence {found.licence}, sha256 {found.sha256}")
    click.echo(f"labels {', '.join(found.labels)}")
    click.echo(
        f"input {read.size} px {read.colour} {read.dtype}, face box grown by {read.margin:g} per side"
    )
    prior = ", ".join(f"{name} {share:.2f}" for name, share in found.prior.items())
    click.echo(f"temperature {found.temperature:g}, offsets {dict(found.offsets)}, prior {prior}")
    click.echo(f"thresholds {dict(found.thresholds)}")
    for source in found.data:
        click.echo(f"trained on {source.name}: {source.images} images ({source.licence})")
    for f in found.metrics:
        interval = "" if f.low is None else f" [{f.low:.4f}, {f.high:.4f}]"
        click.echo(
            f"{f.on}: {f.name} {f.value:.4f}{interval} of {f.count} ({f.date}, {f.machine}: {f.command})"
        )


@models.command()
@click.argument("manifest", type=_Path, required=False)
def verify(manifest: Path | None) -> None:
    r"""Check that a model matches its manifest and runs on this machine.

    \b
    Examples:
      maskwatch models verify
      maskwatch models verify runs/cctv-112/cctv-112.json
    """
    click.echo(f"{_verified(_path(manifest))}: the model matches its manifest, and runs")


@models.command()
@click.argument("manifest", type=_Path)
@click.option("--config", "-c", required=True, type=_Path, help="Configuration file to change.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def use(manifest: Path, config: Path, *, yes: bool) -> None:
    r"""Verify MANIFEST's model and set it as `model` in a configuration file.

    The measured figures of this and the present model are printed. A model without figures, or with a
    figure worse than the same one of the present model, is set only after a confirmation. The rest of
    the file is unchanged. A running service uses the model after `maskwatch reload`.

    \b
    Examples:
      maskwatch models use runs/cctv-112/cctv-112.json --config config.yaml
      maskwatch models use runs/cctv-112/cctv-112.json --config config.yaml --yes
    """
    from maskwatch.config.load import MAX_BYTES
    from maskwatch.files import read_file, replace_file

    name = _verified(manifest)
    try:
        text = read_file(config, MAX_BYTES).decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{config}: cannot read the configuration: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{config}: is not text in UTF-8; expected a configuration file") from None
    path = manifest.resolve()
    changed = _with_model(text, path)
    if not _only_model_differs(text, changed, str(path)):
        raise ConfigError(f"{config}: cannot be changed automatically; add by hand: {_line(path)}")
    _compare(manifest, config, text, yes=yes)
    replace_file(config, changed.encode())
    click.echo(
        f"{config} uses {name}; check it with `maskwatch check {config}`, then `maskwatch reload`"
    )


def _path(manifest: Path | None) -> Path:
    from maskwatch.vision.manifest import default_manifest

    return default_manifest() if manifest is None else manifest


def _verified(path: Path) -> str:
    """Return the model's id after one inference. Raises ManifestError or ModelError."""
    import numpy as np

    from maskwatch.vision.masks import MaskClassifier

    model = MaskClassifier(path)
    size = model.manifest.input.size
    logits = model.logits([np.full((size, size, 3), 127, np.uint8)])
    if not np.isfinite(logits).all():
        raise ManifestError(f"{path}: the model returns {logits.tolist()} for a grey picture")
    return model.id


def _compare(path: Path, config: Path, text: str, *, yes: bool) -> None:
    """Print the figures of the new and the present model, and ask where the new one may be worse.

    Raises UsageError where a confirmation is needed and standard input is no terminal.
    """
    from maskwatch.vision.manifest import read_manifest

    new = read_manifest(path)
    present = _present(config, text)
    old = {} if present is None else _figures(present)
    figures = _figures(new)
    worse = {key for key in figures.keys() & old.keys() if _is_worse(figures[key], old[key])}
    for key in {**figures, **old}:
        name, on = key
        values = f"{_value(figures.get(key))}, present {_value(old.get(key))}"
        click.echo(f"{on}: {name}: new {values}{' (worse)' if key in worse else ''}")
    reason = ""
    if not figures:
        reason = f"{new.id} has no measured figure (`maskwatch evaluate --record` measures some)"
    elif worse:
        reason = f"{new.id} is worse than the present model in {len(worse)} measured figures"
    if reason:
        click.echo(reason)
        _confirm(reason, yes=yes)


def _confirm(reason: str, *, yes: bool) -> None:
    if yes:
        return
    if not _is_terminal():
        raise UsageError(f"{reason}: give --yes to use it, or confirm it on a terminal")
    click.confirm("Use it?", abort=True)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _present(config: Path, text: str) -> Manifest | None:
    """Return the manifest of the model in use; report and return None where it cannot be read."""
    import yaml

    from maskwatch.vision.manifest import default_manifest, read_manifest

    model = yaml.safe_load(text).get("model")
    try:
        return read_manifest(config.absolute().parent / str(model) if model else default_manifest())
    except (ManifestError, ValueError) as error:
        click.echo(f"the present model cannot be compared: {error}")
        return None


def _figures(manifest: Manifest) -> dict[tuple[str, str], Figure]:
    return {(figure.name, figure.on): figure for figure in manifest.metrics}


def _is_worse(new: Figure, old: Figure) -> bool:
    return new.value > old.value if _LOWER_IS_BETTER.search(new.name) else new.value < old.value


def _value(figure: Figure | None) -> str:
    return "not measured" if figure is None else f"{figure.value:.4f}"


def _with_model(text: str, manifest: Path) -> str:
    """Return the configuration with `model` set: its line replaced, or a new first one."""
    line = _line(manifest)
    if _MODEL.search(text):
        return _MODEL.sub(lambda _: line, text, count=1)
    begin = _PREAMBLE.match(text)
    assert begin is not None  # it may be empty
    return f"{begin[0]}{line}\n{text[begin.end() :]}"


def _only_model_differs(before: str, after: str, model: str) -> bool:
    """Return whether both are mappings and differ only in `model`, which is `model` after."""
    import yaml

    try:
        old, new = (yaml.safe_load(text) for text in (before, after))
    except yaml.YAMLError:
        return False
    return isinstance(old, dict) and bool(new == {**old, "model": model})


def _line(manifest: Path) -> str:
    # A string of JSON is a double-quoted scalar of YAML.
    return f"model: {json.dumps(str(manifest), ensure_ascii=False)}"
