"""Updates the hashes in docs/provenance.md, which lists every binary file of the repository.

    python -m tools.supply_chain.provenance

Run it after a listed file was made again. It fails for a binary file that the page does not list: add
a row that says who made it and how. A test compares page and files.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from tools.supply_chain.locks import ROOT

PAGE = ROOT / "docs" / "provenance.md"
_ROW = re.compile(r"^\| `(?P<path>[^`]+)` \|(?P<middle>.*)\| `(?P<sha256>[0-9a-f]*)` \|$", re.MULTILINE)


def binary_files(root: Path = ROOT) -> dict[str, str]:
    """Return the SHA-256 of each file in git that is not text in UTF-8, by its path."""
    command = ["git", "-C", str(root), "ls-files", "-z"]
    names = subprocess.check_output(command, text=True).rstrip("\0").split("\0")
    contents = {name: (root / name).read_bytes() for name in names if (root / name).is_file()}
    return {
        name: hashlib.sha256(content).hexdigest()
        for name, content in contents.items()
        if not _is_text(content)
    }


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def listed_files(page: str) -> dict[str, str]:
    """Return the hashes that the page states, by path."""
    return {row["path"]: row["sha256"] for row in _ROW.finditer(page)}


def updated(page: str, files: dict[str, str]) -> str:
    """Return the page with the hashes of `files`; raises ValueError for a row or a file too many."""
    if wrong := files.keys() ^ listed_files(page).keys():
        raise ValueError(f"in git or in docs/provenance.md, but not in both: {', '.join(sorted(wrong))}")
    return _ROW.sub(lambda row: f"| `{row['path']}` |{row['middle']}| `{files[row['path']]}` |", page)


def main() -> None:
    """Write the page."""
    try:
        PAGE.write_text(updated(PAGE.read_text("utf-8"), binary_files()), "utf-8")
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
