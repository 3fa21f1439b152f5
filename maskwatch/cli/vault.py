"""`maskwatch vault`: create the review vault's key, and open sealed faces with it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from maskwatch.errors import DataError, UsageError

_MAX_PICTURE_MIB = 64


@click.group()
def vault() -> None:
    r"""Create the key of the review vault, and open sealed faces with it (extra: vault).

    \b
    Examples:
      maskwatch vault key vault.key
      maskwatch vault open pictures/2026-03-02/*.jpg --key vault.key --out faces
    """


@vault.command()
@click.argument("file", type=click.Path(path_type=Path))
def key(file: Path) -> None:
    """Write a private key to FILE (never overwritten) and its public key to standard output.

    Keep FILE off the machine that runs the cameras. Set the public key as the camera's `vault_key`.
    """
    from maskwatch.files import fsync_directory
    from maskwatch.privacy.vault import new_key

    private, public = new_key()
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(f"{file}: cannot be created: {error.strerror}") from error
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(private + "\n")
        out.flush()
        os.fsync(handle)
    fsync_directory(file.parent)  # before a camera seals faces for it
    click.echo(public)


@vault.command("open")
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="Private key.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder to write the faces to."
)
def open_(pictures: tuple[Path, ...], key_file: Path, out: Path) -> None:
    """Write the sealed faces of PICTURES, as the recorder stored them, into a folder."""
    private = _read(key_file).decode("ascii", "replace")
    for picture in pictures:
        face = _face(picture, private)
        target = out / f"{picture.stem}-face.jpg"
        _write(target, face)
        click.echo(target)


def _write(target: Path, face: bytes) -> None:
    """Write a face; its folder is created with the first face that could be opened."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(face)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror}") from error


def _face(picture: Path, private: str) -> bytes:
    from maskwatch.privacy.vault import extract, open_sealed

    # The recorder names a picture <violation id>-<change number>.jpg.
    violation = picture.stem.rsplit("-", 1)[0].encode()
    try:
        sealed = extract(_read(picture))
        if sealed is not None:
            return open_sealed(private, sealed, violation)
    except DataError as error:
        raise DataError(f"{picture}: {error}") from error
    raise DataError(f"{picture}: contains no sealed face")


def _read(file: Path) -> bytes:
    from maskwatch.files import MIB, read_file

    try:
        return read_file(file, _MAX_PICTURE_MIB * MIB)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
