"""Only the check itself says that a model is wrong; a check that did not happen says nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from maskwatch.config.schema import Config
from maskwatch.errors import ModelError, TemporaryError
from maskwatch.supervisor import model_check
from maskwatch.supervisor.model_check import check_model

CHECKS = {
    "says that a model is wrong": "import sys; sys.exit('m.json: sha256 is x' and 7)",
    "is killed": "import os; os.kill(os.getpid(), 9)",
    "crashes": "raise MemoryError",
    "never ends": "import time; print('x' * 10**6, flush=True); time.sleep(60)",
}


def check(what: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "fake_check.py").write_text(CHECKS[what])
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(model_check, "_MODULE", "fake_check")
    monkeypatch.setattr(model_check, "_TIMEOUT", 10.0 if what != "never ends" else 0.5)
    asyncio.run(check_model(Config(cameras=())))


def test_a_wrong_model_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError):
        check("says that a model is wrong", tmp_path, monkeypatch)


@pytest.mark.parametrize("what", ["is killed", "crashes", "never ends"])
def test_a_check_that_did_not_happen_can_be_repeated(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TemporaryError):
        check(what, tmp_path, monkeypatch)


def test_the_shipped_models_pass() -> None:
    asyncio.run(check_model(Config(cameras=())))
