"""The shipped YuNet face detector and its manifest, checked by size and sha256."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from maskwatch.errors import WeightsError
from maskwatch.files import MIB, open_regular, read_json
from maskwatch.vision.manifest import shipped_folder

_NAME: Final = "yunet-2023mar"
_FORMAT: Final = 2

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class PublishedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file with the weights of the shipped one, in another form: name, origin, bytes and hash."""

    file: str
    url: str
    size: int
    sha256: Sha256


class FaceDetectorManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the shipped face detector comes from and how to recognize it.

    `made_by` is the command that made the file out of any of `sources`; `copyright` is the notice that
    the licence requires.
    """

    format: Annotated[int, Meta(ge=_FORMAT, le=_FORMAT)]
    id: str
    description: str
    licence: str
    copyright: str
    file: str
    size: int
    sha256: Sha256
    input: str
    made_by: str
    sources: tuple[PublishedFile, ...]


def face_detector_manifest() -> FaceDetectorManifest:
    """Return the manifest of the shipped face detector. Raises WeightsError."""
    path = _manifest_path()
    try:
        return read_json(path, MIB, FaceDetectorManifest)
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot read the face detector's manifest ({error.strerror}); reinstall maskwatch"
        ) from error
    except msgspec.DecodeError as error:
        raise WeightsError(f"{path}: {error}; reinstall maskwatch") from error


def yunet_bytes(path: Path | None = None) -> bytes:
    """Return the bytes of the shipped YuNet 2023mar; what is returned is what was checked.

    Args:
        path: a copy of it. A file that it was made from is accepted too; the shipped one is then
            loaded. Configurations name such a file from the time when it was the shipped one.

    Raises:
        WeightsError: the file is missing, unreadable, or none of these.
    """
    manifest = face_detector_manifest()
    shipped = _manifest_path().with_name(manifest.file)
    if path is not None:
        data = _read(path, max(manifest.size, *(source.size for source in manifest.sources)))
        if hashlib.sha256(data).hexdigest() not in {source.sha256 for source in manifest.sources}:
            return _checked(path, data, manifest)
    return _checked(shipped, _read(shipped, manifest.size), manifest)


def _manifest_path() -> Path:
    return shipped_folder() / f"{_NAME}.json"


def _read(path: Path, limit: int) -> bytes:
    """Return at most one byte more than `limit`, which is enough to refuse a longer file."""
    try:
        with open_regular(path) as file:
            return file.read(limit + 1)
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot read the face detector's weights ({error.strerror}); "
            f"reinstall maskwatch, or set face_weights to a copy of {_NAME}.tflite"
        ) from error


def _checked(path: Path, data: bytes, manifest: FaceDetectorManifest) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if len(data) == manifest.size and found == manifest.sha256:
        return data
    raise WeightsError(
        f"{path}: not the pinned face detector: expected {manifest.size} bytes with sha256 "
        f"{manifest.sha256}, got {len(data)} bytes or more beginning with sha256 {found}; "
        f"set face_weights to a copy of {manifest.file}, or leave it empty"
    )
