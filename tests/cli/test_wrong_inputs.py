"""Every verb, given something else than it asked for, answers in a line and with its own exit code."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.cli.app import main

KINDS = ("missing", "directory", "empty", "binary", "text", "json", "endless", "pipe")
_SPARE_BYTES = 8 << 30
# @ stands for each kind of wrong file.
COMMANDS = (
    "check @",
    "run --config @",
    "status --config @ --runtime-dir nowhere",
    "status --runtime-dir @",
    "reload --runtime-dir @",
    "probe @",
    "probe --config @ --camera a",
    "replay @",
    "replay text --config @",
    "replay @ --annotate out.mp4 --pictures out --plot out.svg",
    "replay text --annotate text",
    "events list --config @",
    "events list --data-dir @",
    "events show 0 --data-dir @",
    "events export --data-dir @ --out out.csv",
    "db check --data-dir @",
    "db backup out.db --data-dir @",
    "db restore @ --data-dir data",
    "models show @",
    "models verify @",
    "models use @ --config @",
    "models use text --config @",
    "scenes expected @",
    "evaluate --scenes @",
    "evaluate --scenes @ --report out/figures.json",
    "evaluate --data @",
    "evaluate --events --faces directory --portraits @",
    "evaluate --events --real @",
    "evaluate --events --real directory --config @",
    "train --scenes @ --out run",
    "train --resume @",
    "serve @ --port 0",
    "alert test --config @",
    "vault open @ --key @ --out directory",
    "vault open json --key @ --out faces",
    "vault open text --key text --out @",
    "db prune --data-dir @",
)
OTHERS = (
    "probe",
    "probe http://192.0.2.1/s",
    "probe rtsp://u:canary-pw/x@192.0.2.1/s",
    "probe rtsp://127.0.0.1:1/s --timeout 1",
    "probe --config good.yaml --camera nobody",
    "probe x --timeout soon",
    "replay",
    "replay text --config good.yaml --camera nobody",
    "replay text --start yesterday",
    "events list --data-dir directory --since yesterdayish",
    "events ack --data-dir directory",
    "scenes render nosuch --out directory",
    "scenes render lone_bare --resolution huge --out directory",
    "serve text --fault nonsense --port 0",
    "serve text --port 99999",
    "completion tcsh",
    "schema extra",
    "run",
    "run --config good.yaml --nosuch",
)


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MASKWATCH_CONFIG", raising=False)
    (tmp_path / "directory").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "text").write_text("hello world\n")
    (tmp_path / "json").write_text('{"a": [1, {"b": null}]}')
    (tmp_path / "endless").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "good.yaml").write_text("cameras: [{name: a, url: 'rtsp://127.0.0.1:1/s'}]\n")


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    """Who reads a file without end fails here, and not the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _SPARE_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _answer(command: str, capfd: pytest.CaptureFixture[str]) -> tuple[object, str]:
    with pytest.raises(SystemExit) as end:
        main(command.split())
    return end.value.code, capfd.readouterr().err


def _assert_foreseen(code: object, said: str) -> None:
    assert code in range(1, 20)
    assert "Traceback" not in said
    assert "bug in maskwatch" not in said
    assert said.strip()
    assert "canary" not in said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("bounded_memory")
def test_a_wrong_file_is_a_foreseen_error_and_writes_nothing(
    command: str, kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    _assert_foreseen(*_answer(command.replace("@", kind), capfd))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", OTHERS)
def test_a_wrong_argument_is_a_foreseen_error(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    _assert_foreseen(*_answer(command, capfd))
