"""`maskwatch probe --hardware` tries decoders and delegates, and none can end it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maskwatch.cli.probe import probe
from maskwatch.errors import UsageError
from maskwatch.lab import hardware
from maskwatch.lab.hardware import Trial, trials


def run(*arguments: str) -> Result:
    return CliRunner().invoke(probe, ["--hardware", *arguments])


@pytest.mark.long
def test_every_way_has_a_time_or_the_reason_why_not() -> None:
    result = run("--json")
    assert result.exit_code == 0, result.output
    found = [Trial(**each) for each in json.loads(result.stdout)["trials"]]
    software = {trial.task: trial for trial in found if trial.way == "software"}
    assert set(software) == {"decode h264", "decode hevc", "mask model"}
    assert all((trial.milliseconds or 0) > 0 for trial in software.values())
    assert all((trial.milliseconds is None) == bool(trial.reason) for trial in found)


def only_delegates(monkeypatch: pytest.MonkeyPatch, delegates: dict[str, str]) -> list[Trial]:
    monkeypatch.setattr(hardware, "CODECS", ())
    return list(trials(delegates))


def test_a_library_that_is_no_delegate_is_refused_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, missing = only_delegates(monkeypatch, {"Edge TPU": "libmissing.so.1"})
    assert missing.milliseconds is None
    assert missing.reason.startswith("libmissing.so.1: cannot open shared object file")


def _library(folder: Path, body: str) -> str:
    source, library = folder / "delegate.c", folder / "libdelegate.so"
    source.write_text(f"#include <stdlib.h>\n#include <unistd.h>\n{body}\n", encoding="ascii")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return str(library)


def test_a_driver_that_crashes_ends_only_its_own_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = _library(tmp_path, "__attribute__((constructor)) static void f(void) { abort(); }")
    software, crashed = only_delegates(monkeypatch, {"broken": library})
    assert software.milliseconds is not None
    assert crashed.reason == "its driver was ended by signal 6"


def test_a_driver_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hardware, "_TIMEOUT_S", 0.5)
    library = _library(tmp_path, "__attribute__((constructor)) static void f(void) { pause(); }")
    *_, hung = only_delegates(monkeypatch, {"slow": library})
    assert hung.reason == "no result within 0.5 s"


def test_a_decoder_without_its_device_is_not_tried() -> None:
    found = hardware._run({"task": "decode h264", "way": "v4l2m2m", "clip": "none.mp4"})
    assert found.reason == "this machine has no /dev/video*" or found.milliseconds is None


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--hardware", "rtsp://camera.example/s"], "no address"),
        (["--hardware", "--camera", "hall"], "no address"),
        (["--delegate", "/bin/true"], "needs --hardware"),
    ],
)
def test_hardware_and_a_camera_are_not_probed_together(arguments: list[str], fault: str) -> None:
    result = CliRunner().invoke(probe, arguments)
    assert isinstance(result.exception, UsageError)
    assert fault in str(result.exception)
