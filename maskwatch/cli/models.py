"""`maskwatch models`: list, show and verify mask models, and put one in use."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from maskwatch.errors import ConfigError, ManifestError

_Path = click.Path(path_type=Path)
# The line of the key `model`; and what precedes every key: a BOM, and comments up to the line `---`.
_MODEL = re.compile(r"""^(?:model|"model"|'model')[ \t]*:[^\r\n]*""", re.MULTILINE)
_PREAMBLE = re.compile(r"\ufeff?(?:(?:[ \t]*(?:#[^\n]*)?\n)*---[ \t]*(?:#[^\n]*)?\r?\n)?")


@click.group()
def models() -> None:
    r"""List, show and verify mask models, and put one in use.

    \b
    Examples:
      maskwatch models list
      maskwatch models show
      maskwatch models verify runs/cctv-112/masks-112.json
      maskwatch models use runs/cctv-112/masks-112.json --config config.yaml
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
      maskwatch models show runs/cctv-112/masks-112.json
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
      maskwatch models verify runs/cctv-112/masks-112.json
    """
    click.echo(f"{_verified(_path(manifest))}: the model matches its manifest, and runs")


@models.command()
@click.argument("manifest", type=_Path)
@click.option("--config", "-c", required=True, type=_Path, help="Configuration file to change.")
def use(manifest: Path, config: Path) -> None:
    r"""Verify MANIFEST's model and set it as `model` in a configuration file.

    The rest of the file is unchanged. A running service uses it after `maskwatch reload`.

    \b
    Examples:
      maskwatch models use runs/cctv-112/masks-112.json --config config.yaml
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
