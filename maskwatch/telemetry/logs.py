"""Log lines of every process: one event per line, on standard error, without secrets.

`console` lines are for people, `json` lines for collectors. Under systemd both begin with the
priority that journald takes (and takes away). What belongs to an event goes into `extra`::

    logger.info("violation recorded", extra={"camera": name, "violation": str(id)})

Levels: debug, for who looks for a fault; info, what an operator may want to know later; warning,
what mends itself or waits for the operator; error, what is lost or stays broken until someone acts.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import stat
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from maskwatch.config.schema import LogConfig, LogFormat
from maskwatch.secrets import RedactingFilter, redact

__all__ = ["ConsoleFormatter", "JsonFormatter", "RepeatFilter", "handler_for", "setup"]

_PATIENCE = 0.2  # seconds that a reader may be busy before a line is given up
_CHUNK = 4096  # PIPE_BUF of Linux: a pipe that can be written to has space for so many bytes


def handler_for(stream: TextIO) -> logging.Handler:
    """Return what writes to `stream`.

    A file or a terminal is written to as ever. Who reads a pipe may have stopped to read, and a
    process that waited for it would neither watch, nor beat, nor end when it is told to.
    """
    try:
        fd = stream.fileno()
        mode = os.fstat(fd).st_mode
    except (OSError, ValueError):
        return logging.StreamHandler(stream)
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return _NonBlockingHandler(fd)
    return logging.StreamHandler(stream)


class _NonBlockingHandler(logging.Handler):
    """Gives lines up that nobody takes, and says how many once they are taken again."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._lost = 0
        self._torn = b""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, or count it; never raises, as logging wants it."""
        try:
            if self._lost and self._write(self._loss(record)):
                self._lost = 0
            if self._lost or not self._write(record):
                self._lost += 1
        except Exception:  # noqa: BLE001 - as logging.Handler: a line that can't be written ends nothing
            self.handleError(record)

    def _loss(self, record: logging.LogRecord) -> logging.LogRecord:
        text = "%d lines were lost here: nobody read this log fast enough"
        return logging.LogRecord(record.name, logging.WARNING, "", 0, text, (self._lost,), None)

    def _write(self, record: logging.LogRecord) -> bool:
        data = self._torn + f"{self.format(record)}\n".encode(errors="backslashreplace")
        while data:
            if not self._poll.poll(0 if self._lost else _PATIENCE * 1000):
                return False
            data = data[os.write(self._fd, data[:_CHUNK]) :]
            self._torn = b"\n" if data else b""
        return True


_logger = logging.getLogger(__name__)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DIGITS = re.compile(r"\d+")
_HANDLER = "maskwatch"
_IDS = ("camera", "violation", "alert", "incident", "sink", "command")


def setup(log: LogConfig, process: str, camera: str = "", *, stream: TextIO | None = None) -> None:
    """Have this process log as `log` says; may be called again when the configuration changed.

    `process` (supervisor, worker, recorder) and `camera` stand in every line. Lines go to `stream`,
    standard error by default. Other libraries are heard from WARNING on. Uncaught exceptions and
    Python's warnings become log lines too, so that they also pass the redacting filter.
    """
    out = stream or sys.stderr
    handler = handler_for(out)
    handler.addFilter(RepeatFilter())
    handler.addFilter(RedactingFilter())
    form = JsonFormatter if log.format is LogFormat.JSON else ConsoleFormatter
    handler.setFormatter(form(process, camera, journal=_is_journal(out), terminal=_is_terminal(out)))
    handler.name = _HANDLER
    root = logging.getLogger()
    for old in [h for h in root.handlers if h.name == _HANDLER]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("maskwatch").setLevel(log.level.upper())
    logging.captureWarnings(capture=True)
    # A log that cannot be written must not write about that where secrets are not taken out.
    logging.raiseExceptions = False
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class RepeatFilter(logging.Filter):
    """Lets `burst` like events pass in `window` seconds, and says with the next how many did not.

    Alike are events of one logger, level and text (before its arguments, numbers aside) about the
    same camera, violation, alert, incident, sink or command: a new subject makes no repeat.
    """

    def __init__(
        self,
        burst: int = 5,
        window: float = 60.0,
        kinds: int = 1000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._burst = burst
        self._window = window
        self._kinds = kinds
        self._monotonic = monotonic
        self._seen: OrderedDict[tuple[object, ...], _Tally] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the event is shown; note on it how many like it were not."""
        now = self._monotonic()
        tally = self._tally(record, now)
        if now - tally.since >= self._window:
            record.suppressed = tally.hidden or None
            tally.since, tally.shown, tally.hidden = now, 0, 0
        if tally.shown >= self._burst:
            tally.hidden += 1
            return False
        tally.shown += 1
        return True

    def _tally(self, record: logging.LogRecord, now: float) -> _Tally:
        subject = tuple(str(getattr(record, name, "")) for name in _IDS)
        text = _DIGITS.sub("0", str(record.msg))
        key = (record.name, record.levelno, text, *subject)
        tally = self._seen.setdefault(key, _Tally(now))
        self._seen.move_to_end(key)
        if len(self._seen) > self._kinds:
            self._seen.popitem(last=False)
        return tally


class _Tally:
    """How often one kind of event was shown and hidden in the present window."""

    __slots__ = ("hidden", "shown", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.shown = 0
        self.hidden = 0


class _LineFormatter(logging.Formatter):
    """What both formats share: the process's name, the priority, the event's own fields."""

    def __init__(self, process: str, camera: str, *, journal: bool, terminal: bool) -> None:
        super().__init__()
        self._process = process
        self._camera = camera
        self._journal = journal
        self._terminal = terminal

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, after the priority if journald reads it."""
        line = self._line(record)
        return f"<{_priority(record.levelno)}>{line}" if self._journal else line

    def _line(self, record: logging.LogRecord) -> str:
        raise NotImplementedError

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        """Return what `extra` gave, with the secrets taken out."""
        fields: dict[str, object] = {"camera": self._camera} if self._camera else {}
        given = {k: v for k, v in vars(record).items() if k not in _STANDARD and v is not None}
        return fields | {name: _simple(value) for name, value in given.items()}

    def _traceback(self, record: logging.LogRecord) -> str:
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(self.formatException(record.exc_info))
        return "\n".join(filter(None, (record.exc_text, record.stack_info)))


class JsonFormatter(_LineFormatter):
    """One JSON object a line: time, level, logger, process, message, the event's fields."""

    def _line(self, record: logging.LogRecord) -> str:
        content: dict[str, object] = {
            "time": _when(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        content |= {name: value for name, value in self._fields(record).items() if name not in content}
        traceback = self._traceback(record)
        if traceback:
            content["traceback"] = traceback
        return json.dumps(content)


class ConsoleFormatter(_LineFormatter):
    """``time LEVEL process: message key=value``; journald knows the time and the level itself."""

    def _line(self, record: logging.LogRecord) -> str:
        fields = self._fields(record)
        camera = fields.pop("camera", "")
        who = f"{self._process}[{camera}]" if camera else self._process
        told = " ".join([_escaped(record.getMessage()), *(f"{k}={_word(v)}" for k, v in fields.items())])
        head = "" if self._journal else f"{_when(record)} {record.levelname:<7} "
        return f"{head}{_escaped(who)}: {told}{self._tail(record)}"

    def _tail(self, record: logging.LogRecord) -> str:
        """Return the traceback: readable on a terminal, else kept in the event's one line."""
        traceback = self._traceback(record)
        if not traceback:
            return ""
        if not self._terminal:
            return f" traceback={_word(traceback)}"
        return "".join(f"\n    {_escaped(line)}" for line in traceback.splitlines())


def _when(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _priority(level: int) -> int:
    """Return the syslog priority of a level."""
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def _simple(value: object) -> object:
    """Return a field's value as JSON takes it, without secrets."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6) if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124 - NaN differs from itself
    return redact(str(value))


def _word(value: object) -> str:
    """Return a field's value for the console: in quotes where it holds more than one word."""
    text = str(value)
    plain = bool(text) and text.isprintable() and not set(text) & set(" \"'=")
    return text if plain else json.dumps(text)


def _escaped(text: str) -> str:
    """Return `text` in one line: a camera's words must not begin a line or move a cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _is_journal(stream: TextIO) -> bool:
    """Return whether `stream` is the one that systemd says journald reads."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _logger.critical("unexpected error", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        what = (args.exc_type, args.exc_value, args.exc_traceback)
        _logger.critical("unexpected error in a thread", exc_info=what)
