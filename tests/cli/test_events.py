"""`maskwatch events`, on a database that a store has written."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maskwatch.ipc.control import CommandDone, RunCommand
from maskwatch.store.data_dir import DataDir, DirectoryLock
from maskwatch.store.models import OutboxState
from tests.fakes.command_line import run
from tests.fakes.control_server import FakeControlServer
from tests.fakes.samples import JPEG, change, delivery_result, entry, make_store, violation_id


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three violations: a closed one of yesterday, an open one of now, one at the gate."""
    now = datetime.now(UTC)
    store = make_store(tmp_path / "data")
    store.changes.record(
        [
            entry(change(1, started=now - timedelta(days=1)), JPEG),
            entry(change(1, 2, started=now - timedelta(days=1), closed=True)),
            entry(change(2, started=now)),
            entry(change(3, camera="gate", started=now)),
        ]
    )
    failed = delivery_result(1, OutboxState.PENDING, "failed", "gone")
    accepted = delivery_result(1)
    refused = delivery_result(3, OutboxState.PARKED, "refused", "acl")
    store.outbox.store_results([failed, accepted, refused])
    store.close()
    return tmp_path / "data"


def listed(data: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[int]:
    """Return the indexes of the violations that a list shows."""
    assert run("events", "list", "--data-dir", data, "--format", "jsonl", *options) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [int(row["id"][-12:], 16) for row in rows]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), [3, 2, 1]),
        (("--since", "2h"), [3, 2]),
        (("--until", "2h"), [1]),
        (("--camera", "gate"), [3]),
        (("--camera", "gate", "--camera", "door", "--limit", "2"), [3, 2]),
        (("--zone", "hall", "--open"), [3, 2]),
        (("--zone", "street"), []),
        (("--verdict", "incorrect"), []),
        (("--unacknowledged",), [3, 2, 1]),
        (("--parked",), [3]),
        (("--since", "2020-01-01", "--until", "2099-01-01T00:00Z"), [3, 2, 1]),
    ],
)
def test_a_list_contains_the_selected_violations_newest_first(
    data: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], expected: list[int]
) -> None:
    assert listed(data, capsys, *options) == expected


def test_a_table_has_a_row_for_each_violation(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("events", "list", "--data-dir", data) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].startswith(str(violation_id(3)))
    assert "1 pending, 1 delivered" in lines[3]


def test_an_export_as_csv_can_be_read_back(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    options = ("--format", "csv", "--out", target)
    assert run("events", "export", "--data-dir", data, *options) == 0
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [row["camera"] for row in rows] == ["gate", "door", "door"]
    assert rows[2]["close_reason"] == "left"


def test_show_prints_each_delivery_attempt(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("events", "show", "--data-dir", data, violation_id(1)) == 0
    output = capsys.readouterr().out
    for part in ("without a mask at door, zone hall", "attempt 1: ", "failed", "(gone)", "attempt 2: "):
        assert part in output
    assert "Change 2: closed" in output
    picture = next(line.split()[1] for line in output.splitlines() if line.startswith("  picture"))
    assert Path(picture).read_bytes() == JPEG


def test_show_as_json_contains_the_changes(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("events", "show", "--data-dir", data, violation_id(1), "--json") == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step["change"]["number"] for step in steps] == [1, 2]


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("0", "more than one violation's id begins with 0; give more of it: 019d"),
        ("ffff", "there is no violation whose id begins with ffff"),
        ("pancake", "expected 1 to 32 hexadecimal digits"),
    ],
)
def test_an_ambiguous_or_unknown_id_is_a_usage_error(
    data: Path, capsys: pytest.CaptureFixture[str], identifier: str, message: str
) -> None:
    assert run("events", "show", "--data-dir", data, identifier) == 2
    assert message in capsys.readouterr().err


def test_without_a_daemon_an_acknowledgement_is_written_directly(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("events", "ack", "--data-dir", data, violation_id(1), violation_id(2)) == 0
    capsys.readouterr()
    assert listed(data, capsys, "--unacknowledged") == [3]


def write_config(path: Path, data: Path) -> Path:
    """Write a configuration with this data directory."""
    path.write_text(
        f"data_dir: {data}\nruntime_dir: {path.parent}\n"
        "cameras:\n  - name: door\n    url: rtsp://camera.invalid/\n"
    )
    return path


def test_a_running_daemon_receives_the_command_to_acknowledge(data: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.yaml", data)
    answer = CommandDone(ok=True, detail="acknowledged")
    with (
        DirectoryLock(DataDir(data)),
        FakeControlServer(tmp_path / "control.sock", answer) as daemon,
    ):
        assert run("events", "ack", "--config", config, violation_id(1)) == 0
    assert daemon.requests == [RunCommand(verb="acknowledge", target=str(violation_id(1)))]


def test_a_refused_acknowledgement_is_an_error(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path / "config.yaml", data)
    answer = CommandDone(ok=False, detail="the disk is full")
    with DirectoryLock(DataDir(data)), FakeControlServer(tmp_path / "control.sock", answer):
        assert run("events", "ack", "--config", config, violation_id(1)) == 10
    assert "the disk is full" in capsys.readouterr().err


def test_an_invalid_time_is_a_usage_error(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("events", "list", "--data-dir", data, "--since", "yesterday") == 2
    assert "'yesterday' is not a time" in capsys.readouterr().err


def test_a_directory_without_a_database_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("events", "list", "--data-dir", tmp_path) == 4
    assert "there is no database" in capsys.readouterr().err


def test_a_camera_named_like_a_formula_is_exported_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(tmp_path / "data")
    store.changes.record([entry(change(1, camera="=cmd()"))])
    store.close()
    assert run("events", "export", "--data-dir", tmp_path / "data", "--format", "csv") == 0
    assert ",'=cmd()," in capsys.readouterr().out


@pytest.mark.parametrize("verb", [("list", "--format", "jsonl"), ("show", str(violation_id(1)))])
def test_a_closed_standard_output_is_not_reported_as_an_error(data: Path, verb: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "maskwatch", "events", *verb, "--data-dir", str(data)]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert done.stderr == b""
