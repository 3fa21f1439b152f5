"""`maskwatch models`: what is shipped, and how another model is put in use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click.testing
import pytest
import yaml

from maskwatch.cli.models import models
from maskwatch.errors import ConfigError, ManifestError, UsageError
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


def change(manifest: Path, **fields: object) -> None:
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **fields}))


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
    change(other, sha256="0" * 64)
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


def figure(name: str, value: float, on: str = "hall") -> dict[str, object]:
    about = {"command": "maskwatch evaluate", "machine": "x86", "date": "2026-01-01"}
    return {"name": name, "on": on, "value": value, "count": 100, **about}


WORSE = (
    ([], "has no measured figure"),
    ([figure("accuracy", 0.89)], "worse than the present model in 1 measured"),
    ([figure("calibration error", 0.03), figure("accuracy", 0.95)], "worse than the present model in 1"),
)
NO_WORSE = (
    [figure("accuracy", 0.9)],
    [figure("calibration error", 0.01)],
    [figure("accuracy", 0.5, on="another hall")],
)


@pytest.fixture
def config(tmp_path: Path, other: Path) -> Path:
    """A configuration whose model, named relative to it, has accuracy 0.9 and calibration error 0.02."""
    shutil.copytree(other.parent, tmp_path / "present")
    present = tmp_path / "present" / other.name
    change(present, metrics=[figure("accuracy", 0.9), figure("calibration error", 0.02)])
    path = tmp_path / "config.yaml"
    path.write_text(f"model: present/{other.name}\ncameras: []\n")
    return path


@pytest.mark.parametrize(("metrics", "reason"), WORSE)
def test_a_model_that_may_be_worse_is_not_used_unasked(
    other: Path, config: Path, monkeypatch: pytest.MonkeyPatch, metrics: object, reason: str
) -> None:
    """Without a terminal it is an error; on one, only a yes changes the configuration."""
    change(other, metrics=metrics)
    before = config.read_text()
    use = ["use", str(other), "--config", str(config)]
    with pytest.raises(UsageError, match=f"{reason}.*: give --yes"):
        run(*use)
    monkeypatch.setattr("maskwatch.cli.models._is_terminal", lambda: True)
    for answer in ("n\n", "\n", ""):
        asked = click.testing.CliRunner().invoke(models, use, input=answer)
        assert asked.exit_code == 1
        assert "present 0.9000" in asked.output
        assert config.read_text() == before
    assert click.testing.CliRunner().invoke(models, use, input="y\n").exit_code == 0
    assert yaml.safe_load(config.read_text())["model"] == str(other)


@pytest.mark.parametrize("metrics", [metrics for metrics, _ in WORSE])
def test_yes_uses_a_model_that_may_be_worse(other: Path, config: Path, metrics: object) -> None:
    change(other, metrics=metrics)
    assert "present 0.9000" in run("use", str(other), "--config", str(config), "--yes")
    assert yaml.safe_load(config.read_text())["model"] == str(other)


@pytest.mark.parametrize("metrics", NO_WORSE)
def test_a_model_that_is_worse_in_no_common_figure_is_used_unasked(
    other: Path, config: Path, metrics: object
) -> None:
    change(other, metrics=metrics)
    assert "present 0.9000" in run("use", str(other), "--config", str(config))
    assert yaml.safe_load(config.read_text())["model"] == str(other)


def test_a_present_model_that_cannot_be_read_does_not_prevent_another(other: Path, config: Path) -> None:
    (config.parent / "present" / other.name).unlink()
    assert "the present model cannot be compared" in run("use", str(other), "--config", str(config))
    assert yaml.safe_load(config.read_text())["model"] == str(other)


def test_without_a_model_in_the_configuration_the_shipped_one_is_compared(
    other: Path, config: Path
) -> None:
    config.write_text("cameras: []\n")
    shipped = read_manifest(default_manifest()).metrics[0]
    change(other, metrics=[figure(shipped.name, 0.1, shipped.on)])
    with pytest.raises(UsageError, match="give --yes"):
        run("use", str(other), "--config", str(config))
