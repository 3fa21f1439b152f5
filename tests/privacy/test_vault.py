"""Only the holder of the private key can open a sealed face."""

from __future__ import annotations

import stat
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.cli.vault import vault
from maskwatch.errors import DataError, DependencyError, UsageError
from maskwatch.privacy.vault import embed, extract, new_key, open_sealed, public_key, seal
from tests.fakes.vision import picture

_PRIVATE, _PUBLIC = new_key()


def _jpeg(seed: int = 1) -> bytes:
    return cv2.imencode(".jpg", picture(seed, (64, 48)))[1].tobytes()


@settings(max_examples=30)
@given(st.binary(max_size=3000), st.binary(max_size=40))
def test_sealed_data_is_opened_unchanged(plain: bytes, context: bytes) -> None:
    assert open_sealed(_PRIVATE, seal(_PUBLIC, plain, context), context) == plain


def test_the_same_face_is_sealed_differently_each_time() -> None:
    face = _jpeg()
    one, two = (seal(_PUBLIC, face, b"id") for _ in range(2))
    assert one != two
    assert face[:64] not in one


def test_another_key_or_violation_or_a_changed_bit_is_refused() -> None:
    sealed = seal(_PUBLIC, b"face", b"id")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for private, data, context in (
        (new_key()[0], sealed, b"id"),
        (_PRIVATE, sealed, b"other"),
        (_PRIVATE, changed, b"id"),
        (_PRIVATE, sealed[:20], b"id"),
    ):
        with pytest.raises(DataError, match="cannot be opened"):
            open_sealed(private, data, context)


def test_an_invalid_key_is_refused() -> None:
    with pytest.raises(DataError, match="44 characters"):
        seal("not a key", b"face", b"id")


def test_the_public_key_follows_from_the_private_one() -> None:
    assert public_key(_PRIVATE) == _PUBLIC
    assert len(_PUBLIC) == 44


@pytest.mark.parametrize("size", [1, 1000, 60_000, 150_000])
def test_a_sealed_face_does_not_change_the_decoded_picture(size: int) -> None:
    jpeg, sealed = _jpeg(), bytes(range(256)) * (size // 256 + 1)
    carried = embed(jpeg, sealed[:size])
    assert extract(carried) == sealed[:size]
    shown, plain = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (carried, jpeg)
    )
    np.testing.assert_array_equal(shown, plain)


def test_pictures_without_a_sealed_face_and_other_files() -> None:
    assert extract(_jpeg()) is None
    with pytest.raises(DataError, match="not a JPEG"):
        extract(b"PNG")


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("maskwatch.privacy.vault.importlib.import_module", missing)
    with pytest.raises(DependencyError, match=r"maskwatch\[vault\]"):
        new_key()


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(vault, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_command_creates_a_private_key_and_opens_pictures_with_it(tmp_path: Path) -> None:
    key = tmp_path / "vault.key"
    public = _run("key", str(key)).strip()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    face, violation = _jpeg(5), "0190c0de-0000-7000-8000-000000000001"
    stored = tmp_path / f"{violation}-2.jpg"
    stored.write_bytes(embed(_jpeg(), seal(public, face, violation.encode())))
    _run("open", str(stored), "--key", str(key), "--out", str(tmp_path / "faces"))
    assert (tmp_path / "faces" / f"{violation}-2-face.jpg").read_bytes() == face


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    key = tmp_path / "vault.key"
    _run("key", str(key))
    before = key.read_text()
    with pytest.raises(UsageError, match="cannot be created"):
        CliRunner().invoke(vault, ["key", str(key)], catch_exceptions=False)
    assert key.read_text() == before


def test_a_picture_without_a_sealed_face_is_one_clear_error(tmp_path: Path) -> None:
    key, plain = tmp_path / "vault.key", tmp_path / "a-1.jpg"
    _run("key", str(key))
    plain.write_bytes(_jpeg())
    with pytest.raises(DataError, match=r"a-1\.jpg: contains no sealed face"):
        CliRunner().invoke(
            vault,
            ["open", str(plain), "--key", str(key), "--out", str(tmp_path)],
            catch_exceptions=False,
        )
