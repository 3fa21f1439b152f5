"""A disk that loses power: what a traced program may leave, given what it had synced.

strace records every change of the files below a folder, with its bytes. `Disk` applies that log and
can then write "the disk after a power loss" into another folder: everything that was synced, and of
the rest what a `Survival` decides. Rules, stricter than those of most file systems:

- a write is durable once its file is synced, before that sector by sector and in any order;
- a name (created, renamed, removed) is durable once its directory is synced, before that in any order;
- a rename is atomic: both names change, or none.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.waiting import wait_until

SECTOR = 512
_ROOT = "/"
CALLS = (
    "open,openat,close,lseek,write,writev,pwrite64,ftruncate,fallocate,fsync,fdatasync,rename,renameat,"
    "renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,sendto,sendmsg,exit_group"
)

_CALL = re.compile(r"^(\d+) +(\w+)\((.*)\) += (\d+)(.*)$")  # that succeeded
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"^(-?\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
_UNFINISHED = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")


def tracing(log: Path) -> list[str]:
    """Return the start of a command line that writes the log of the command after it."""
    quiet = ["strace", "-f", "-y", "-qq", "-xx", "-s", "100000000", "-e", "signal=none"]
    return [*quiet, "-e", f"trace={CALLS}", "-o", str(log)]


@contextmanager
def traced(pid: int, log: Path, *options: str) -> Iterator[None]:
    """Attach strace to a process, which must make no call before and end within; it writes `log`."""
    with subprocess.Popen([*tracing(log), *options, "-p", str(pid)]) as tracer:
        status = Path(f"/proc/{pid}/status")
        wait_until(lambda: not re.search(r"TracerPid:\s+0\n", status.read_text()))
        yield
        tracer.wait(60)


@dataclass(slots=True)
class _File:
    """The contents on the disk, and the writes since the last sync: (offset, bytes) or a new size."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)


@dataclass(slots=True)
class _Folder:
    """The entries on the disk, those that a program sees, and the changes since the last sync.

    One change is some names with their new entries, None for a removed name.
    """

    durable: dict[str, _File | _Folder] = field(default_factory=dict)
    visible: dict[str, _File | _Folder] = field(default_factory=dict)
    pending: list[dict[str, _File | _Folder | None]] = field(default_factory=list)

    def change(self, names: dict[str, _File | _Folder | None]) -> None:
        self.pending.append(names)
        _apply(self.visible, names)

    def sync(self) -> None:
        self.durable = dict(self.visible)
        self.pending.clear()


def _apply(entries: dict[str, _File | _Folder], names: dict[str, _File | _Folder | None]) -> None:
    for name, entry in names.items():
        if entry is None:
            entries.pop(name, None)
        else:
            entries[name] = entry


@dataclass(frozen=True, slots=True)
class Survival:
    """What of the unsynced changes survives: a change of names, a new size, a sector of a write."""

    name: str
    names: Callable[[], bool]
    sizes: Callable[[], bool]
    sectors: Callable[[], bool]


def _never() -> bool:
    return False


def _always() -> bool:
    return True


NOTHING = Survival("nothing", _never, _never, _never)
EVERYTHING = Survival("everything", _always, _always, _always)
ONLY_NAMES = Survival("names", _always, _never, _never)
SIZES_WITHOUT_DATA = Survival("sizes", _always, _always, _never)


def torn(seed: int) -> Survival:
    """Return a survival of random halves."""
    chance = random.Random(seed)

    def half() -> bool:
        return chance.random() < 0.5

    return Survival(f"torn {seed}", half, half, half)


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the program: `sync`, `change`, or `mark` (of which `text` was sent or printed)."""

    kind: str
    text: str


class Disk:
    """The files below a folder: what programs see, and what a power loss would leave of them."""

    def __init__(self, root: Path) -> None:
        """Take what is in `root` now as durable."""
        self._path = os.fspath(root.resolve())
        self._root = _read_folder(root)
        self._above = _Folder(visible={_ROOT: self._root})
        self._offsets: dict[str, int] = {}

    def replay(self, log: Path) -> Iterator[Step]:
        """Apply the log call by call; yield each that changes or syncs a file, or sends something."""
        self._offsets.clear()
        for line in _calls(log):
            match = _CALL.match(line)
            step = self._call(match[2], match[3], match[4], match[5]) if match else None
            if step is not None:
                yield step

    def write_remains(self, target: Path, survival: Survival) -> None:
        """Write what a power loss now would leave into the new folder `target`."""
        _write_folder(target, self._root, survival)

    # --- one call -------------------------------------------------------------------------------

    def _call(self, name: str, arguments: str, result: str, after: str) -> Step | None:
        texts = [_unhex(text) for text in _TEXT.findall(arguments)]
        if name in {"open", "openat"}:
            return self._opened(arguments, result + after)
        if name.startswith(("rename", "unlink", "mkdir", "rmdir")):
            return self._named(name, [text.decode() for text in texts])
        return self._on_descriptor(name, arguments, texts, result)

    def _opened(self, arguments: str, opened: str) -> Step | None:
        descriptor = _DESCRIPTOR.match(opened)
        found = self._find(_path_of(descriptor)) if descriptor else None
        if descriptor is None or found is None:
            return None
        folder, name = found
        self._offsets[descriptor[1]] = 0
        entry = folder.visible.get(name)
        if entry is None and "O_CREAT" in arguments:
            folder.change({name: _File()})
            return Step("change", f"create {name}")
        if isinstance(entry, _File) and "O_TRUNC" in arguments:
            entry.pending.append(0)
            return Step("change", f"empty {name}")
        return None

    def _named(self, call: str, paths: Sequence[str]) -> Step | None:
        places = [self._find(path) for path in paths]
        if not all(places):
            return None
        [(folder, name), *others] = [place for place in places if place is not None]
        if call.startswith("mkdir"):
            folder.change({name: _Folder()})
        elif call.startswith("rename"):
            [(new_folder, new_name)] = others
            entry = folder.visible[name]
            if new_folder is folder:
                folder.change({name: None, new_name: entry})
            else:
                new_folder.change({new_name: entry})
                folder.change({name: None})
        else:
            folder.change({name: None})
        return Step("change", f"{call} {' '.join(Path(path).name for path in paths)}")

    def _on_descriptor(
        self, call: str, arguments: str, texts: Sequence[bytes], result: str
    ) -> Step | None:
        descriptor = _DESCRIPTOR.match(arguments)
        if descriptor is None:
            return None
        number, path = descriptor[1], _path_of(descriptor)
        found = self._find(path)
        if found is None:
            return Step("mark", b"".join(texts).decode("utf-8", "replace")) if texts else None
        folder, name = found
        entry = folder.visible.get(name)
        if call in {"fsync", "fdatasync"}:
            return self._synced(entry, path)
        if isinstance(entry, _File):
            return self._file_call(call, number, entry, b"".join(texts), arguments, result, name)
        return None

    def _synced(self, entry: _File | _Folder | None, path: str) -> Step | None:
        if isinstance(entry, _Folder):
            entry.sync()
        elif isinstance(entry, _File):
            entry.durable = _contents(entry, EVERYTHING)
            entry.pending.clear()
        return Step("sync", Path(path).name)

    def _file_call(
        self,
        call: str,
        number: str,
        file: _File,
        data: bytes,
        arguments: str,
        result: str,
        name: str,
    ) -> Step | None:
        last = arguments.rsplit(", ", 1)[-1]
        if call == "lseek":
            self._offsets[number] = int(result)
            return None
        if call in {"write", "writev"}:
            offset = self._offsets.get(number, 0)
            self._offsets[number] = offset + int(result)
            file.pending.append((offset, data[: int(result)]))
        elif call == "pwrite64":
            file.pending.append((int(last), data[: int(result)]))
        elif call == "ftruncate":
            file.pending.append(int(last))
        else:
            return None
        return Step("change", f"{call} {name}")

    def _find(self, path: str) -> tuple[_Folder, str] | None:
        """Return the folder that holds the last name of the path, and that name; None outside."""
        if path == self._path:
            return self._above, _ROOT
        if not path.startswith(self._path + "/"):
            return None
        *above, name = path[len(self._path) + 1 :].split("/")
        folder = self._root
        for part in above:
            below = folder.visible.get(part)
            if not isinstance(below, _Folder):
                return None
            folder = below
        return folder, name


def _calls(log: Path) -> Iterator[str]:
    """Yield the complete calls; one that another thread interrupted is joined at its end."""
    begun: dict[str, str] = {}
    for line in log.read_text(encoding="ascii", errors="replace").splitlines():
        if match := _UNFINISHED.match(line):
            begun[match[1]] = match[2]
        elif match := _RESUMED.match(line):
            yield f"{match[1]} {begun.pop(match[1], '')}{match[2]}"
        else:
            yield line


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _path_of(descriptor: re.Match[str]) -> str:
    return _unhex(descriptor[2]).decode("utf-8", "replace")


def _read_folder(path: Path) -> _Folder:
    folder = _Folder()
    for item in path.iterdir():
        if item.is_dir():
            folder.visible[item.name] = _read_folder(item)
        else:
            folder.visible[item.name] = _File(bytearray(item.read_bytes()))
    folder.sync()
    return folder


def _write_folder(target: Path, folder: _Folder, survival: Survival) -> None:
    target.mkdir(mode=0o700)
    entries = dict(folder.durable)
    for names in folder.pending:
        if survival.names():
            _apply(entries, names)
    for name, entry in entries.items():
        if isinstance(entry, _Folder):
            _write_folder(target / name, entry, survival)
        else:
            (target / name).write_bytes(_contents(entry, survival))


def _contents(file: _File, survival: Survival) -> bytearray:
    """Return the contents with the surviving part of the unsynced writes."""
    data = bytearray(file.durable)
    for write in file.pending:
        if isinstance(write, int):
            if survival.sizes():
                del data[write:]
                data.extend(bytes(write - len(data)))
            continue
        offset, content = write
        if offset + len(content) > len(data) and survival.sizes():
            data.extend(bytes(offset + len(content) - len(data)))
        for start, sector in _sectors(offset, content):
            if survival.sectors():
                if start > len(data):
                    data.extend(bytes(start - len(data)))
                data[start : start + len(sector)] = sector
    return data


def _sectors(offset: int, content: bytes) -> Iterator[tuple[int, bytes]]:
    """Split a write where the sectors of the disk end."""
    start = 0
    while start < len(content):
        end = start + SECTOR - (offset + start) % SECTOR
        yield offset + start, content[start:end]
        start = end
