"""Log lines of every process: one event per line, on standard error, without secrets.

`console` lines are for people, `json` lines for collectors. Under systemd both begin with the
priority that journald reads and removes. An event's fields go into `extra`::

    logger.info("violation recorded", extra={"camera": name, "violation": str(id)})

Levels: debug, details for finding a fault; info, events that an operator may look up later; warning,
what recovers by itself or needs attention; error, what is lost or stays broken until someone acts.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

import msgspec

from maskwatch.config.schema import LogConfig, LogFormat
from maskwatch.decoding import decode_json
from maskwatch.secrets import RedactingFilter, redact
from maskwatch.telemetry.nonblocking_handler import handler_for

_logger = logging.getLogger(__name__)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DIGITS = re.compile(r"\d+")
_PRIORITY = re.compile(r"^<\d>")
_HEAD = re.compile(r"^[0-9T:.Z-]+ [A-Z]+ +")
_HANDLER = "maskwatch"
_IDS = ("camera", "violation", "alert", "incident", "sink", "command")


def setup(log: LogConfig, process: str, camera: str = "", *, stream: TextIO | None = None) -> None:
    """Configure this process's log; may be called again after a change of the configuration.

    `process` (supervisor, worker, recorder) and `camera` are part of every line. Lines go to
    `stream`, standard error by default. Other libraries log from WARNING on. Uncaught exceptions and
    Python's warnings become log lines too, so that they also pass the redacting filter.
    """
    out = stream or sys.stderr
    handler = handler_for(out)
    handler.addFilter(RepeatFilter())
    handler.addFilter(RedactingFilter())
    form = JsonFormatter if log.format is LogFormat.JSON else ConsoleFormatter
    handler.setFormatter(form(process, camera, journal=is_journal(out), terminal=_is_terminal(out)))
    handler.name = _HANDLER
    root = logging.getLogger()
    for old in [h for h in root.handlers if h.name == _HANDLER]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("maskwatch").setLevel(log.level.upper())
    logging.captureWarnings(capture=True)
    # Logging would report a failed write on standard error, past the redacting filter.
    logging.raiseExceptions = False
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class _Source(msgspec.Struct, frozen=True):
    """The fields of a JSON line that say whose it is."""

    process: str
    camera: str


_source_decoder: msgspec.json.Decoder[_Source] = msgspec.json.Decoder(_Source)


def is_line_of(line: str, process: str, camera: str) -> bool:
    """Return whether a line, in either format, says that it is of this process of this camera."""
    text = _PRIORITY.sub("", line)
    if not text.isprintable():
        return False
    if text.startswith("{"):
        try:
            return decode_json(_source_decoder, text.encode()) == _Source(process, camera)
        except msgspec.DecodeError:
            return False
    return _HEAD.sub("", text).startswith(f"{_escaped(f'{process}[{camera}]')}: ")


def pass_on(line: str) -> None:
    """Write a line that another process has formatted, without filters."""
    record = logging.LogRecord("", logging.INFO, "", 0, "", (), None)
    record.formatted = line
    for handler in logging.getLogger().handlers:
        if handler.name == _HANDLER:
            with handler.lock or nullcontext():
                handler.emit(record)


class RepeatFilter(logging.Filter):
    """Passes `burst` equal events in `window` seconds, and counts the suppressed ones on the next.

    Events are equal if logger, level, text (before its arguments, numbers aside) and camera,
    violation, alert, incident, sink and command are the same.
    """

    def __init__(
        self,
        burst: int = 5,
        window: float = 60.0,
        max_kinds: int = 1000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._burst = burst
        self._window = window
        self._max_kinds = max_kinds
        self._monotonic = monotonic
        self._seen: OrderedDict[tuple[object, ...], _RepeatCount] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the event is shown; add the number of suppressed ones to it."""
        now = self._monotonic()
        count = self._count_of(record, now)
        if now - count.since >= self._window:
            record.suppressed = count.hidden or None
            count.since, count.shown, count.hidden = now, 0, 0
        if count.shown >= self._burst:
            count.hidden += 1
            return False
        count.shown += 1
        return True

    def _count_of(self, record: logging.LogRecord, now: float) -> _RepeatCount:
        subject = tuple(str(getattr(record, name, "")) for name in _IDS)
        text = _DIGITS.sub("0", str(record.msg))
        key = (record.name, record.levelno, text, *subject)
        count = self._seen.setdefault(key, _RepeatCount(now))
        self._seen.move_to_end(key)
        if len(self._seen) > self._max_kinds:
            self._seen.popitem(last=False)
        return count


@dataclass(slots=True)
class _RepeatCount:
    """How often one kind of event was shown and hidden in the current window."""

    since: float
    shown: int = 0
    hidden: int = 0


class _LineFormatter(logging.Formatter):
    """The common part of both formats: process, priority, the event's own fields."""

    def __init__(self, process: str, camera: str, *, journal: bool, terminal: bool) -> None:
        super().__init__()
        self._process = process
        self._camera = camera
        self._journal = journal
        self._terminal = terminal

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, after the priority if journald reads it."""
        if (formatted := getattr(record, "formatted", None)) is not None:
            return str(formatted)
        line = self._line(record)
        return f"<{_priority(record.levelno)}>{line}" if self._journal else line

    def _line(self, record: logging.LogRecord) -> str:
        raise NotImplementedError

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        """Return the fields from `extra`, without secrets."""
        fields: dict[str, object] = {"camera": self._camera} if self._camera else {}
        extra = {k: v for k, v in vars(record).items() if k not in _STANDARD and v is not None}
        return fields | {name: _simple(value) for name, value in extra.items()}

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
    """``time LEVEL process: message key=value``; journald adds time and level itself."""

    def _line(self, record: logging.LogRecord) -> str:
        fields = self._fields(record)
        camera = fields.pop("camera", "")
        source = f"{self._process}[{camera}]" if camera else self._process
        text = " ".join([_escaped(record.getMessage()), *(f"{k}={_word(v)}" for k, v in fields.items())])
        head = "" if self._journal else f"{_when(record)} {record.levelname:<7} "
        return f"{head}{_escaped(source)}: {text}{self._tail(record)}"

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
    return next((priority for minimum, priority in _PRIORITIES if level >= minimum), 7)


def _simple(value: object) -> object:
    """Return a field's value as a JSON type, without secrets."""
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
    """Return `text` in one line: a camera's text must not begin a line or move a cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def is_journal(stream: TextIO) -> bool:
    """Return whether `stream` is the one that systemd connected to journald."""
    journal = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return journal == f"{status.st_dev}:{status.st_ino}"


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
