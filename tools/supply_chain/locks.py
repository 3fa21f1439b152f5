"""What is locked in requirements/, and what the installed metadata say of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from license_expression import ExpressionError, get_spdx_licensing
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
SETS = ("run", "image", "build", "demo", "dev")

# What packages without an SPDX expression write, and its SPDX name.
_SPELLINGS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
SPDX = get_spdx_licensing()


@dataclass(frozen=True)
class Locked:
    """One entry of a lock file; `hashes` are the SHA-256 of all its distribution files."""

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def pin(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def distribution(self) -> metadata.Distribution | None:
        """The installed package; None unless this very version is installed."""
        try:
            found = metadata.distribution(self.name)
        except metadata.PackageNotFoundError:
            return None
        return found if found.version == self.version else None


def lock_file(name: str) -> Path:
    """Return the lock file of a set."""
    return REQUIREMENTS / f"{name}.txt"


def read_lock(path: Path) -> list[Locked]:
    """Return the entries that this platform installs, by name.

    Raises ValueError for an entry without a version or without hashes.
    """
    return sorted(_entries(path.read_text("utf-8")), key=lambda each: each.name)


def _entries(text: str) -> Iterator[Locked]:
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        wanted = Requirement(line.split("--hash")[0].strip())
        hashes = tuple(_HASH.findall(line))
        versions = [clause.version for clause in wanted.specifier if clause.operator == "=="]
        if not versions or not hashes:
            raise ValueError(f"{wanted.name}: neither version nor hash may be missing in a lock file")
        if wanted.marker is None or wanted.marker.evaluate():
            yield Locked(canonicalize_name(wanted.name), versions[0], hashes)


def licence_of(distribution: metadata.Distribution) -> str | None:
    """Return the SPDX expression of a package, from its metadata; None if it states none."""
    fields = distribution.metadata
    stated = [fields.get("License-Expression"), fields.get("License")]
    stated += [
        classifier.rpartition(" :: ")[2]
        for classifier in fields.get_all("Classifier") or []
        if classifier.startswith("License :: ")
    ]
    for text in stated:
        if text and (expression := spdx(_SPELLINGS.get(text.strip(), text))):
            return expression
    return None


def spdx(text: str) -> str | None:
    """Return `text` as an SPDX expression, or None if it is none."""
    try:
        return str(SPDX.parse(text, validate=True, strict=True))
    except ExpressionError:
        return None


def needs(distribution: metadata.Distribution, *extras: str) -> set[str]:
    """Return the names of the packages that a package with `extras` requires on this platform."""
    return {
        canonicalize_name(each.name)
        for each in map(Requirement, distribution.requires or [])
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    }
