"""The layout of a folder of crops: one sub-folder per class, pictures directly in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from maskwatch.errors import DataError
from maskwatch.vision.manifest import LABELS

_SUFFIXES: Final = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


def class_files(folder: Path) -> tuple[list[tuple[int, Path]], list[str]]:
    """Return (label, file) of every picture in `folder`, and a message for each other file.

    Tables and hidden files need no message. Raises DataError for a wrong layout.
    """
    folders = _class_folders(folder)
    files: list[tuple[int, Path]] = []
    ignored = [f"{p}: in no class" for p in _loose_files(folder) if _is_picture(p)]
    for sub in folders:
        entries = sorted(sub.iterdir())
        pictures = [path for path in entries if _is_picture(path)]
        if not pictures:
            raise DataError(
                f"{sub}: the class is empty; put pictures there ({', '.join(_SUFFIXES)}), or remove "
                "the folder"
            )
        files += [(LABELS.index(sub.name), path) for path in pictures]
        ignored += [_ignored(path) for path in entries if not (_is_picture(path) or _is_hidden(path))]
    if not files:
        raise DataError(f"{folder}: no pictures; expected a sub-folder per class: {', '.join(LABELS)}")
    return files, ignored


def _class_folders(folder: Path) -> list[Path]:
    """Return the class folders. Raises DataError if there are other folders, or files named so."""
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; expected one with a sub-folder per class: {', '.join(LABELS)}"
        )
    folders = sorted(p for p in folder.iterdir() if p.is_dir() and not _is_hidden(p))
    extra = [p.name for p in folders if p.name not in LABELS]
    if extra:
        raise DataError(
            f"{folder}: folders that are not a class: {', '.join(extra)}; "
            f"expected only {', '.join(LABELS)}"
        )
    for path in _loose_files(folder):
        if path.name in LABELS:
            raise DataError(
                f"{path}: a class, but not a folder; put its pictures into a folder of this name"
            )
    return folders


def _loose_files(folder: Path) -> list[Path]:
    """Return the entries of `folder` that are not folders."""
    return sorted(p for p in folder.iterdir() if not p.is_dir())


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _ignored(path: Path) -> str:
    """Return why this is not a picture of its class."""
    if path.is_dir():
        return f"{path}: a folder within a class; only pictures directly in the class are read"
    return f"{path}: not a picture by its suffix; expected {', '.join(_SUFFIXES)}"
