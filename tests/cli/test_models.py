"""`maskwatch models`: what is shipped, and how another model is put in use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click.testing
import pytest
import yaml

from maskwatch.cli.models import models
from maskwatch.errors import ConfigError, ManifestError
from maskwatch.vision.manifest import default_manifest, read_manifest


def run(*arguments: str) -> str:
    """Run the verb; errors of ours come through as they are."""
    result = click.testing.CliRunner().invoke(models, list(arguments), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A model made elsewhere: a copy of the shipped one in a folder with a blank in its name."""
    folder = tmp_path / "made elsewhere"
    folder.mkdir()
    source = default_manifest()
    shutil.copy(source, folder)
    shutil.copy(source.parent / read_manifest(source).file, folder)
    return folder / source.name


def test_the_default_has_a_star() -> None:
    """Exactly one of the shipped models."""
    lines = run("list").splitlines()
    assert [line.split()[1] for line in lines if line.startswith("*")] == [
        read_manifest(default_manifest()).id
    ]


def test_show_tells_where_a_model_comes_from() -> None:
    """Hash, labels, input, data and figures."""
    text = run("show")
    manifest = read_manifest(default_manifest())
    assert manifest.sha256 in text
    assert "with_mask, without_mask" in text
    assert all(source.name in text for source in manifest.data)
    assert all(figure.command in text for figure in manifest.metrics)


def test_verify_runs_the_model(other: Path) -> None:
    """A sound one passes, a spoilt one is named."""
    assert "matches its manifest" in run("verify", str(other))
    content = json.loads(other.read_text())
    content["sha256"] = "0" * 64
    other.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match="sha256"):
        run("verify", str(other))


HEADS = (
    "",
    "# mine\nmodel: old.json\n",
    "# mine\n",
    '# mine\n"model" : old.json  # quoted\n',
    "# mine\n---\n",
    "\ufeff# mine\r\n---  # begins\r\n",
    "\ufeff# mine\n",
)


@pytest.mark.parametrize("before", HEADS)
def test_use_changes_one_line(other: Path, tmp_path: Path, before: str) -> None:
    """The rest of the file, comments and mode stay."""
    config = tmp_path / "config.yaml"
    config.write_text(before + "cameras: []  # none yet\n")
    config.chmod(0o600)
    run("use", str(other), "--config", str(config))
    text = config.read_text(encoding="utf-8-sig")
    assert [line for line in text.splitlines() if "model" in line] == [f'model: "{other}"']
    assert yaml.safe_load(text) == {"model": str(other), "cameras": []}
    assert text.endswith("cameras: []  # none yet\n")
    assert text.startswith("# mine") == bool(before) or text.startswith("model")
    assert config.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    ["{cameras: []}\n", "model: >-\n  old.json\n", "model:\n  old.json\n", "[1]\n", "", "a: [\n"],
)
def test_a_configuration_of_a_form_that_cannot_be_changed_stays_as_it_was(
    other: Path, tmp_path: Path, text: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    with pytest.raises(ConfigError, match="add by hand: model: "):
        run("use", str(other), "--config", str(config))
    assert config.read_text() == text
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["config.yaml"]


def test_a_model_that_is_not_sound_is_not_put_in_use(other: Path, tmp_path: Path) -> None:
    """The configuration stays as it was."""
    config = tmp_path / "config.yaml"
    config.write_text("cameras: []\n")
    (other.parent / read_manifest(other).file).unlink()
    with pytest.raises(ManifestError, match="cannot read"):
        run("use", str(other), "--config", str(config))
    assert config.read_text() == "cameras: []\n"
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        run("use", str(default_manifest()), "--config", str(tmp_path / "none.yaml"))
