"""The layout of a folder of crops: one sub-folder per class, pictures directly in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from maskwatch.errors import DataError
from maskwatch.vision.manifest import LABELS

__all__ = ["class_files"]

_SUFFIXES: Final = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


def class_files(folder: Path) -> tuple[list[tuple[int, Path]], list[str]]:
    """Return (label, file) of every picture in `folder`, and what to say of all else that lies there.

    Raises DataError for a folder that is not laid out so.
    """
    folders = _class_folders(folder)
    files: list[tuple[int, Path]] = []
    others = [f"{p}: in no class" for p in _beside(folder) if _is_picture(p)]
    for sub in folders:
        found = sorted(sub.iterdir())
        pictures = [path for path in found if _is_picture(path)]
        if not pictures:
            raise DataError(
                f"{sub}: the class is empty; put pictures there ({', '.join(_SUFFIXES)}), or remove "
                "the folder"
            )
        files += [(LABELS.index(sub.name), path) for path in pictures]
        others += [_other(path) for path in found if not (_is_picture(path) or _is_hidden(path))]
    if not files:
        raise DataError(f"{folder}: no pictures; expected a sub-folder per class: {', '.join(LABELS)}")
    return files, others


def _class_folders(folder: Path) -> list[Path]:
    """Return the folders in `folder`, each of which is a class."""
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; expected one with a sub-folder per class: {', '.join(LABELS)}"
        )
    folders = sorted(p for p in folder.iterdir() if p.is_dir() and not _is_hidden(p))
    extra = [p.name for p in folders if p.name not in LABELS]
    if extra:
        raise DataError(
            f"{folder}: folders that are no class: {', '.join(extra)}; expected only {', '.join(LABELS)}"
        )
    for path in _beside(folder):
        if path.name in LABELS:
            raise DataError(
                f"{path}: a class, but no folder; put its pictures into a folder of this name"
            )
    return folders


def _beside(folder: Path) -> list[Path]:
    """Return what lies beside the class folders."""
    return sorted(p for p in folder.iterdir() if not p.is_dir())


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _other(path: Path) -> str:
    """Return why this is no picture of its class."""
    if path.is_dir():
        return f"{path}: a folder within a class; only what lies directly in the class is read"
    return f"{path}: no picture by its name; expected {', '.join(_SUFFIXES)}"
