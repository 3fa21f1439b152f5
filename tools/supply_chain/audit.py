"""Reports licence, age and known vulnerabilities of what the container image installs: `make audit`.

    python -m tools.supply_chain.audit [--set image] [--offline] [--json FILE] [--max-age DAYS]

Licences come from the installed packages, ages from `requirements/releases.json`: both need no network.
With one, pip-audit looks up known vulnerabilities, and uv the dates that the file lacks. Whatever could
not be looked up is listed. Exit codes: 0 no finding, 1 findings, 2 a wrong argument or lock file, 3 no
finding, but something was not looked up and `--complete` demands it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from boolean import AND, OR, Expression

from tools.supply_chain.locks import SETS, SPDX, Locked, licence_of, lock_file, read_lock
from tools.supply_chain.release_dates import known_dates, look_up

# Licences that allow to distribute the image as it is: permissive, or copyleft only of their own files.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0",
    "PSF-2.0", "Zlib",
}  # fmt: skip
_OLD_DAYS = 2 * 365


@dataclass
class Row:
    """What is known of one locked package; a value that is not known is None."""

    name: str
    version: str
    licence: str | None = None
    released: str | None = None
    age_days: int | None = None
    vulnerabilities: list[str] | None = None


@dataclass
class Report:
    """The rows of one set, with what is wrong and what is not known."""

    set: str
    made: str
    packages: list[Row]
    findings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    not_looked_up: list[str] = field(default_factory=list)


def audit(name: str, *, today: date, offline: bool, max_age: int = _OLD_DAYS) -> Report:
    """Return the report of a set of requirements; raises ValueError for a wrong lock file."""
    locks = read_lock(lock_file(name))
    report = Report(set=name, made=today.isoformat(), packages=[])
    dates = _dates(locks, lock_file(name), report, offline=offline)
    known = _vulnerabilities(lock_file(name), report, offline=offline)
    for each in locks:
        row = _row(each, today, dates)
        row.vulnerabilities = known.get(each.name)
        report.packages.append(row)
        _judge(row, report, max_age)
    return report


def _row(locked: Locked, today: date, dates: Mapping[str, str]) -> Row:
    installed = locked.distribution
    released = dates.get(locked.pin)
    return Row(
        name=locked.name,
        version=locked.version,
        licence=licence_of(installed) if installed else None,
        released=released,
        age_days=(today - date.fromisoformat(released)).days if released else None,
    )


def _judge(row: Row, report: Report, max_age: int) -> None:
    """Add to a report what is wrong with a package and what is not known of it."""
    pin = f"{row.name}=={row.version}"
    if row.licence is None:
        report.not_looked_up.append(
            f"{pin}: licence; this version is not installed, or states no SPDX licence"
        )
    elif not allowed(row.licence):
        report.findings.append(f"{pin}: the licence {row.licence} is not among the allowed ones")
    if row.released is None:
        report.not_looked_up.append(f"{pin}: release date; `make lock` stores it")
    elif row.age_days is not None and row.age_days > max_age:
        report.remarks.append(f"{pin}: {row.age_days} days old; check whether it is still maintained")
    report.findings += [f"{pin}: {each}" for each in row.vulnerabilities or ()]


def allowed(expression: str) -> bool:
    """Return whether an SPDX expression can be fulfilled with the allowed licences alone."""
    return _holds(SPDX.parse(expression))


def _holds(expression: Expression) -> bool:
    match expression:
        case AND():
            return all(map(_holds, expression.args))
        case OR():
            return any(map(_holds, expression.args))
        case _:
            return str(expression) in ALLOWED


def _dates(locks: list[Locked], lock: Path, report: Report, *, offline: bool) -> dict[str, str]:
    dates = known_dates()
    if offline or all(each.pin in dates for each in locks):
        return dates
    try:
        return dates | look_up([lock])
    except (OSError, subprocess.SubprocessError) as error:
        report.not_looked_up.append(f"new release dates: {error}")
        return dates


def _vulnerabilities(lock: Path, report: Report, *, offline: bool) -> dict[str, list[str]]:
    """Return the known vulnerabilities of each package that pip-audit could look up."""
    if offline:
        report.not_looked_up.append("known vulnerabilities: --offline was given")
        return {}
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "-f", "json"]
    try:
        run = subprocess.run(
            [*command, "--progress-spinner", "off", "-r", str(lock)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        found = json.loads(run.stdout)["dependencies"]
    except subprocess.TimeoutExpired as error:
        report.not_looked_up.append(f"known vulnerabilities: {error}")
        return {}
    except ValueError:
        reason = (run.stderr.strip().splitlines() or ["no output"])[-1]
        report.not_looked_up.append(f"known vulnerabilities: pip-audit failed: {reason}")
        return {}
    if skipped := [each["name"] for each in found if "skip_reason" in each]:
        names = ", ".join(skipped)
        report.not_looked_up.append(f"known vulnerabilities of {len(skipped)} packages: {names}")
    return {each["name"]: list(map(_in_words, each["vulns"])) for each in found if "vulns" in each}


def _in_words(vulnerability: dict[str, Any]) -> str:
    return f"{vulnerability['id']}, fixed in {', '.join(vulnerability['fix_versions']) or 'no version'}"


def as_text(report: Report) -> str:
    """Return the report as a table, followed by findings, remarks and what is not known."""
    lines = [f"{'package':32} {'version':16} {'released':12} {'days':>6}  {'known':6} licence"]
    for row in report.packages:
        known = "?" if row.vulnerabilities is None else str(len(row.vulnerabilities))
        age = "?" if row.age_days is None else str(row.age_days)
        released, licence = row.released or "?", row.licence or "?"
        lines.append(f"{row.name:32} {row.version:16} {released:12} {age:>6}  {known:6} {licence}")
    for title, entries in (
        ("Findings", report.findings),
        ("Remarks", report.remarks),
        ("Not looked up", report.not_looked_up),
    ):
        lines += ["", f"{title}: {len(entries) or 'none'}", *(f"  {entry}" for entry in entries)]
    return "\n".join(lines)


def main() -> int:
    """Print the report and return the exit code."""
    parser = argparse.ArgumentParser(
        description="Report licence, age and known vulnerabilities of dependencies."
    )
    parser.add_argument("--set", choices=SETS, default="image", help="lock file (default: image)")
    parser.add_argument("--offline", action="store_true", help="use no network")
    parser.add_argument(
        "--complete", action="store_true", help="exit with 3 if something was not looked up"
    )
    parser.add_argument(
        "--max-age", type=int, default=_OLD_DAYS, metavar="DAYS", help="remark on older versions"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON, too")
    options = parser.parse_args()
    today = datetime.now(UTC).date()
    try:
        report = audit(options.set, today=today, offline=options.offline, max_age=options.max_age)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(as_text(report))
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=2) + "\n", "utf-8")
    if report.findings:
        return 1
    return 3 if options.complete and report.not_looked_up else 0


if __name__ == "__main__":
    sys.exit(main())
