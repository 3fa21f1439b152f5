"""Every verb finds the daemon's configuration file in the same way."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from maskwatch.cli import options
from maskwatch.cli.app import cli
from maskwatch.cli.options import find_config
from maskwatch.errors import UsageError

BROKEN = "cameras: []\nnosuch: 1\n"

VERBS = (
    ["check"],
    ["run"],
    ["alert", "test"],
    ["probe", "--camera", "door"],
    ["events", "list"],
    ["db", "check"],
)
"""All that read the file and say what is wrong with it."""


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MASKWATCH_CONFIG", raising=False)
    monkeypatch.setattr(
        options, "_DEFAULT_PATHS", (Path("config.yaml"), tmp_path / "etc" / "config.yaml")
    )


def said(verb: list[str], *options: str, env: dict[str, str] | None = None) -> str:
    """What a verb that fails says."""
    answer = CliRunner(env=env).invoke(cli, [*verb, *options])
    assert answer.exit_code
    return f"{answer.output}{answer.exception}"


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_the_file_comes_from_option_environment_or_a_default_path(
    verb: list[str], tmp_path: Path
) -> None:
    given = tmp_path / "given.yaml"
    given.write_text(BROKEN)
    wrong = "given.yaml:2:1: nosuch"
    assert wrong in said(verb, "-c", str(given))
    assert wrong in said(verb, "--config", str(given))
    assert wrong in said(verb, env={"MASKWATCH_CONFIG": str(given)})
    given.rename(tmp_path / "config.yaml")
    assert "config.yaml:2:1: nosuch" in said(verb)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_missing_file_is_a_usage_error_that_names_the_option(verb: list[str]) -> None:
    assert "--config FILE" in said(verb)


def test_an_unreadable_default_path_is_skipped(tmp_path: Path) -> None:
    usual = tmp_path / "config.yaml"
    usual.symlink_to(usual)  # not to be opened, by root neither
    with pytest.raises(UsageError, match="no configuration file"):
        find_config(None)


def test_check_accepts_its_file_as_an_argument_but_not_twice(tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(BROKEN)
    assert "given.yaml:2:1: nosuch" in said(["check", str(path)])
    assert "given.yaml:2:1: nosuch" in said(["check", str(path)], env={"MASKWATCH_CONFIG": "other.yaml"})
    assert "once" in said(["check", str(path), "-c", str(path)])
