"""Writes requirements/releases.json: the day on which each locked version was published.

    python -m tools.supply_chain.release_dates

`make lock` runs it, so that `make audit` knows ages without a network. The dates are those that the
package registry gives uv.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.supply_chain.locks import REQUIREMENTS, SETS, lock_file

DATES = REQUIREMENTS / "releases.json"


def known_dates() -> dict[str, str]:
    """Return the stored dates: `name==version` to an ISO date."""
    dates: dict[str, str] = json.loads(DATES.read_text("utf-8"))
    return dates


def look_up(locks: Sequence[Path]) -> dict[str, str]:
    """Return the dates of all entries of lock files, from the registry.

    Raises OSError if uv is missing, and subprocess.SubprocessError if the registry does not answer.
    """
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise FileNotFoundError("uv is not installed")
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "pylock.toml")
        command = [uv, "pip", "compile", "-q", "--universal", "--python-version", "3.11", "--no-deps"]
        subprocess.run(
            [*command, "--format", "pylock.toml", *map(str, locks), "-o", str(found)],
            check=True, timeout=120, capture_output=True,
        )  # fmt: skip
        return _dates(tomllib.loads(found.read_text("utf-8")))


def _dates(pylock: dict[str, Any]) -> dict[str, str]:
    """Return the day of the first file of each package of a PEP 751 lock."""
    dates = {}
    for package in pylock["packages"]:
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        days = [str(file["upload-time"])[:10] for file in files if "upload-time" in file]
        if days:
            dates[f"{package['name']}=={package['version']}"] = min(days)
    return dates


def main() -> None:
    """Write the dates of all sets."""
    dates: dict[str, str] = {}
    for name in (*SETS, "fuzz"):
        dates |= look_up([lock_file(name)])
    DATES.write_text(json.dumps(dict(sorted(dates.items())), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
