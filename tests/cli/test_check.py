"""`maskwatch check` and `maskwatch schema`, as their user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maskwatch.cli.app import cli

SOUND = "cameras: [{name: door, url: 'rtsp://u:${PW}@h/s'}]\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def _check(path: Path, *options: str, password: str = "canary-pw") -> Result:
    return CliRunner().invoke(cli, ["check", *options, str(path)], env={"PW": password})


def test_a_valid_file_is_summarized_without_secrets(config: Path) -> None:
    config.write_text(SOUND)
    result = _check(config)
    assert result.exit_code == 0
    assert "can be used. It would run:" in result.stdout
    assert "door: rtsp://***@h/s, 5 frames/s, the whole picture" in result.stdout
    assert "canary" not in result.output
    assert result.stderr == ""


def test_the_summary_shows_every_part(config: Path) -> None:
    config.write_text(
        """\
node: hall
cameras:
  - {name: a, url: /a.mp4, enabled: false}
  - name: b
    url: rtsp://h/s
    zones: [{name: z, polygon: [[0, 0], [1, 0], [1, 1]], rule: counted}]
mqtt: {host: broker, tls: true, port: 8883, version: 3.1.1, topic_prefix: top}
people:
  - {name: guards, url: "tgram://${PW}/1", incidents: false}
  - {name: hook, webhook: "https://h.example/x", key: "${PW}"}
  - {name: later}
metrics: {enabled: false}
store: {retention: {max_megabytes: 0, pictures_days: 1.5}}
"""
    )
    said = _check(config).stdout
    assert "node      hall, data in /var/lib/maskwatch, sockets in /run/maskwatch" in said
    assert "a: disabled" in said
    assert "b: rtsp://h/s, 5 frames/s, zones z (counted)" in said
    assert "MQTT 3.1.1 at broker:8883 with TLS, topics top/..." in said
    assert "guards: violations by Apprise" in said
    assert "hook: violations and incidents by webhook" in said
    assert "later: off, it has no address" in said
    assert "metrics   not served" in said
    assert "kept      pictures 1.5 days, violations 180 days\n" in said


def test_a_wrong_file_shows_every_problem_and_exits_with_3(config: Path) -> None:
    config.write_text("nod: 1\nlog: {level: loud}\n")
    result = _check(config)
    assert result.exit_code == 3
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"{config}:1:1: ")
    assert lines[-1] == f"{config} cannot be used: 3 problems."


def test_warnings_fail_only_with_strict(config: Path) -> None:
    config.write_text("cameras: [{name: door, url: 'rtsp://u:canary-pw@h/s'}]\n")
    config.chmod(0o600)
    result = _check(config)
    assert result.exit_code == 0
    assert "with 1 warning" in result.stdout
    assert f"warning: {config}:1:29: cameras[0].url: the secret itself" in result.stderr
    assert "canary" not in result.output
    assert _check(config, "--strict").exit_code == 3


def test_json_holds_problems_and_warnings(config: Path) -> None:
    config.write_text("nod: 1\ncameras: [{name: a, url: rtsp://h/s}]\n")
    result = _check(config, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout) == {
        "ok": False,
        "problems": [
            {
                "file": str(config),
                "line": 1,
                "column": 1,
                "key": "nod",
                "message": "unknown key",
                "hint": "did you mean `node`?",
            }
        ],
        "warnings": [],
    }
    config.write_text(SOUND)
    assert json.loads(_check(config, "--json").stdout) == {"ok": True, "problems": [], "warnings": []}


@pytest.mark.parametrize("kind", ["missing", "directory", "binary", "empty"])
def test_an_unreadable_configuration_is_one_line_without_traceback(config: Path, kind: str) -> None:
    if kind == "directory":
        config.mkdir()
    elif kind != "missing":
        config.write_bytes(b"\x00\xff\xd8\xff" if kind == "binary" else b"")
    result = _check(config)
    assert result.exit_code == 3
    assert isinstance(result.exception, SystemExit)
    assert len(result.stderr.splitlines()) == 2
    assert "Traceback" not in result.output


def test_the_schema_is_the_published_one(root: Path) -> None:
    result = CliRunner().invoke(cli, ["schema"])
    assert result.exit_code == 0
    assert result.stdout == (root / "docs/schemas/config.schema.json").read_text()
