"""Measures the code base: `python -m tools.code_metrics [CHECKOUT or COMMIT ...] [--time]`.

Prints one column for each checkout or commit (default: this checkout), so that a tree can be compared
with an earlier one: `python -m tools.code_metrics 6e4910d^ .`.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

# Rooms from the ground floor up; an import is upward if it leads to a later row.
_FLOORS = (
    "domain errors clock secrets files backoff decoding reading writing",
    "temporary access",
    "config",
    "vision tracking privacy sandbox",
    "telemetry",
    "capture",
    "ipc store analysis",
    "alerts",
    "supervisor recorder worker replay",
    "training testing lab",
    "cli __main__",
)
_FLOOR = {room: floor for floor, rooms in enumerate(_FLOORS) for room in rooms.split()}
_LAB = ("lab", "testing", "training")
_RUN = 6  # lines that two places must share to count as a duplicate

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One parsed source file; `name` is its path below the checkout with dots."""

    name: str
    lines: list[str]
    tree: ast.Module

    @property
    def room(self) -> str:
        """The first folder or module below the package."""
        return self.name.split(".")[1] if "." in self.name else ""


class Tree:
    """The Python files of a checkout that git tracks, parsed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = list(self._modules("maskwatch"))
        self.tests = list(self._modules("tests"))

    def _modules(self, folder: str) -> Iterator[Module]:
        command = ["git", "-C", str(self.root), "ls-files", f"{folder}/*.py"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for name in listed.split():
            text = (self.root / name).read_text("utf-8")
            dotted = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            yield Module(dotted, text.splitlines(), ast.parse(text))

    @property
    def service(self) -> list[Module]:
        """The modules outside the lab that do not import it either (the lab's verbs do)."""
        outside = [module for module in self.source if module.room not in _LAB]
        return [m for m in outside if not any(name.split(".")[1] in _LAB for name in _imported(m))]


def measure(tree: Tree) -> dict[str, str]:
    """Return each figure under its name, in the order in which they are printed."""
    functions = [size for module in tree.source for size in _function_sizes(module)]
    classes = [found for module in tree.source for found in _classes(module)]
    longest = max(tree.source, key=lambda module: len(module.lines))
    largest = max(classes)
    most = max(classes, key=lambda found: found[1])
    between, upward = _room_imports(tree.source)
    source, tests = _lines(tree.source), _lines(tree.tests)
    return {
        "modules": f"{len(tree.source)}",
        "lines": f"{source}",
        "modules of the service (without the lab and its verbs)": f"{len(tree.service)}",
        "lines of the service": f"{_lines(tree.service)}",
        "longest module": f"{len(longest.lines)} ({longest.name})",
        "longest class, lines": f"{largest[0]} ({largest[2]})",
        "most methods in a class": f"{most[1]} ({most[2]})",
        "function median / 95th percentile, lines": (
            f"{statistics.median(functions):.0f} / {_percentile(functions, 0.95)}"
        ),
        "pairs of rooms that import": f"{between}",
        "imports upward": f"{upward}",
        f"duplicates of {_RUN} lines and more, source": f"{_duplicates(tree.source)}",
        f"duplicates of {_RUN} lines and more, tests": f"{_duplicates(tree.tests)}",
        "test lines": f"{tests}",
        "test lines per source line": f"{tests / source:.2f}",
        "longest name of a test": f"{_longest_test_name(tree.tests)}",
    }


def _lines(modules: list[Module]) -> int:
    return sum(len(module.lines) for module in modules)


def _function_sizes(module: Module) -> Iterator[int]:
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def _classes(module: Module) -> Iterator[tuple[int, int, str]]:
    """Yield (lines, methods, qualified name) of each class."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            methods = sum(isinstance(item, Function) for item in node.body)
            yield (
                (node.end_lineno or node.lineno) - node.lineno + 1,
                methods,
                f"{module.name}.{node.name}",
            )


def _percentile(values: list[int], share: float) -> int:
    return sorted(values)[int(share * (len(values) - 1))]


def _room_imports(modules: list[Module]) -> tuple[int, int]:
    """Return how many pairs of rooms import one another, and how many import statements go up."""
    pairs: set[tuple[str, str]] = set()
    upward = 0
    for module in modules:
        for target in _imported(module):
            room = target.split(".")[1]
            if room == module.room or room not in _FLOOR or module.room not in _FLOOR:
                continue
            pairs.add((module.room, room))
            upward += _FLOOR[room] > _FLOOR[module.room]
    return len(pairs), upward


def _imported(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("maskwatch"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in names if name.count("."))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("maskwatch."))


def _duplicates(modules: list[Module]) -> int:
    """Return how many runs of lines occur a second time; imports, comments and blanks do not count."""
    seen: Counter[tuple[str, ...]] = Counter()
    found = 0
    for module in modules:
        lines = [text for text in map(_normalised, module.lines) if text]
        inside = False
        for start in range(len(lines) - _RUN + 1):
            run = tuple(lines[start : start + _RUN])
            repeated = seen[run] > 0
            found += repeated and not inside
            inside = repeated
            seen[run] += 1
    return found


def _normalised(line: str) -> str:
    text = line.strip()
    thin = text.startswith(("#", "import ", "from ", '"""')) or len(text) < 3
    return "" if thin else text


def _longest_test_name(modules: list[Module]) -> int:
    nodes = (node for module in modules for node in ast.walk(module.tree))
    names = [n.name for n in nodes if isinstance(n, Function) and n.name.startswith("test_")]
    return max(map(len, names))


def _seconds_of_tests(root: Path) -> str:
    began = time.monotonic()
    done = subprocess.run(["make", "-C", str(root), "test"], check=False)  # noqa: S607 - from PATH
    return f"{time.monotonic() - began:.0f} (exit code {done.returncode})"


@contextmanager
def _checkout(name: str) -> Iterator[Path]:
    """Yield the folder `name`, or a temporary checkout of the commit of that name."""
    if Path(name).is_dir():
        yield Path(name)
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = ["git", "worktree"]
        subprocess.run([*tree, "add", "--quiet", "--detach", f"{folder}/tree", name], check=True)
        try:
            yield Path(folder, "tree")
        finally:
            subprocess.run([*tree, "remove", "--force", f"{folder}/tree"], check=True)


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkouts", nargs="*", default=["."])
    parser.add_argument("--time", action="store_true", help="also run `make test` in each, and time it")
    options = parser.parse_args()
    with ExitStack() as stack:
        roots = [stack.enter_context(_checkout(name)) for name in options.checkouts]
        columns = [measure(Tree(root)) for root in roots]
        if options.time:
            for root, column in zip(roots, columns, strict=True):
                column["seconds of `make test`"] = _seconds_of_tests(root)
    write: Callable[[str], object] = sys.stdout.write
    write("| figure | " + " | ".join(options.checkouts) + " |\n")
    write("|---" * (len(columns) + 1) + "|\n")
    for name in columns[0]:
        write(f"| {name} | " + " | ".join(column[name] for column in columns) + " |\n")


if __name__ == "__main__":
    main()
