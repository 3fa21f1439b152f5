"""One event, one line, whatever is in it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from io import StringIO
from itertools import product
from pathlib import Path

import pytest

from maskwatch.clock import ManualClock
from maskwatch.config.schema import LogConfig, LogFormat
from maskwatch.secrets import Secret
from maskwatch.telemetry.logs import RepeatFilter, setup

pytestmark = pytest.mark.usefixtures("fresh_logging")
logger = logging.getLogger("maskwatch.test")
Lines = Callable[[], list[str]]


def _start(
    form: LogFormat = LogFormat.CONSOLE, level: str = "info", camera: str = ""
) -> tuple[StringIO, Lines]:
    out = StringIO()
    setup(LogConfig(format=form, level=level), "worker", camera, stream=out)  # type: ignore[arg-type]  # a test names levels as text
    return out, lambda: out.getvalue().splitlines()


def test_a_json_line_holds_time_level_process_message_and_the_events_fields() -> None:
    _, lines = _start(LogFormat.JSON, camera="door")
    logger.warning(
        "alert %s", "parked", extra={"alert": "v:1", "attempt": 3, "delay": 1.5, "last": True}
    )
    (line,) = map(json.loads, lines())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "process": "worker",
        "logger": "maskwatch.test",
        "message": "alert parked",
        "camera": "door",
        "alert": "v:1",
        "attempt": 3,
        "delay": 1.5,
        "last": True,
    }


def test_a_console_line_is_for_people() -> None:
    _, lines = _start(camera="front door")
    logger.info("violation opened", extra={"violation": "abc", "why": "no mask", "empty": ""})
    (line,) = lines()
    assert line[10] == "T"
    assert line.endswith(
        'Z INFO    worker[front door]: violation opened violation=abc why="no mask" empty=""'
    )


def test_an_events_own_camera_replaces_the_processs() -> None:
    _, lines = _start(LogFormat.JSON, camera="")
    logger.info("started", extra={"camera": "yard"})
    assert json.loads(lines()[0])["camera"] == "yard"


@pytest.mark.parametrize("form", list(LogFormat))
def test_a_cameras_text_cannot_begin_a_line_or_move_a_cursor(form: LogFormat) -> None:
    out, lines = _start(form)
    logger.info("it said %s", "OK\n2026 CRITICAL forged\r\x1b[2J", extra={"title": "a\nb\x07"})
    assert len(lines()) == 1
    assert not {"\x1b", "\r", "\x07"} & set(out.getvalue())


def test_a_traceback_stays_in_the_events_line() -> None:
    for form in LogFormat:
        _, lines = _start(form)
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            logger.exception("failed")
        (line,) = lines()
        assert "ZeroDivisionError" in line


def test_the_level_applies_to_maskwatch_and_other_libraries_log_warnings() -> None:
    _, lines = _start(level="debug")
    logger.debug("ours")
    logging.getLogger("sqlalchemy.engine").info("theirs")
    logging.getLogger("paho").warning("theirs, louder")
    assert [line.rpartition(": ")[2] for line in lines()] == ["ours", "theirs, louder"]
    _, lines = _start(level="error")
    logger.warning("ours")
    assert lines() == []


def test_setting_up_again_replaces_the_first_set_up() -> None:
    first, _ = _start()
    _, lines = _start(LogFormat.JSON)
    logger.info("once")
    assert first.getvalue() == ""
    assert len(lines()) == 1


def test_warnings_and_uncaught_exceptions_become_events_without_secrets() -> None:
    Secret("canary-value")
    _, lines = _start(LogFormat.JSON)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("canary-value is deprecated", UserWarning, stacklevel=1)
    error = RuntimeError("canary-value")
    sys.excepthook(RuntimeError, error, None)
    thread = threading.Thread(target=_raise)
    thread.start()
    thread.join()
    events = [json.loads(line) for line in lines()]
    assert [event["level"] for event in events] == ["warning", "critical", "critical"]
    assert "canary" not in "".join(lines())
    assert "RuntimeError" in events[1]["traceback"]


def _raise() -> None:
    raise RuntimeError("canary-value")


def test_an_interrupt_from_the_keyboard_is_not_logged() -> None:
    _, lines = _start()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert lines() == []


def test_a_log_that_cannot_be_written_does_not_stop_the_process(
    capfd: pytest.CaptureFixture[str],
) -> None:
    out, _ = _start()
    out.close()
    logger.error("nobody hears this")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("level", "priority"),
    [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)],
)
def test_under_systemd_each_line_begins_with_its_priority(
    level: str, priority: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        status = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        for form in LogFormat:
            setup(LogConfig(format=form, level="debug"), "supervisor", stream=journal)
            getattr(logger, level)("said")
        journal.seek(0)
        console, as_json = journal.read().splitlines()
    assert console == f"<{priority}>supervisor: said"
    assert json.loads(as_json.removeprefix(f"<{priority}>"))["message"] == "said"


def test_another_stream_than_journalds_has_no_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    _, lines = _start()
    logger.info("said")
    assert not lines()[0].startswith("<")


class TestRepeats:
    """A fault that recurs a thousand times a minute is told a few times, and then counted."""

    @staticmethod
    def _shown(filter_: RepeatFilter, message: str, **fields: object) -> logging.LogRecord | None:
        record = logging.LogRecord("maskwatch.x", logging.WARNING, "p", 1, message, (), None)
        vars(record).update(fields)
        return record if filter_.filter(record) else None

    def test_repeats_are_suppressed_and_counted_in_the_next_window(self) -> None:
        clock = ManualClock()
        repeats = RepeatFilter(burst=3, window=60, monotonic=clock.monotonic)
        shown = [self._shown(repeats, "refused") is not None for _ in range(10)]
        assert shown == [True] * 3 + [False] * 7
        clock.advance(60)
        record = self._shown(repeats, "refused")
        assert record is not None
        assert vars(record)["suppressed"] == 7
        record = self._shown(repeats, "refused")
        assert record is not None
        assert "suppressed" not in vars(record)

    def test_a_new_subject_is_not_a_repeat_but_a_new_number_is(self) -> None:
        repeats = RepeatFilter(burst=1)
        assert self._shown(repeats, "opened", violation="a")
        assert self._shown(repeats, "opened", violation="b")
        assert self._shown(repeats, "opened", camera="c")
        assert self._shown(repeats, "attempt 1")
        assert not self._shown(repeats, "attempt 2")

    def test_the_number_of_remembered_events_is_limited(self) -> None:
        repeats = RepeatFilter(burst=1, max_kinds=10)
        for i in range(100):
            self._shown(repeats, "opened", violation=str(i))
        assert len(repeats._seen) == 10


def test_the_set_up_loads_nothing_heavy() -> None:
    code = (
        "import sys, maskwatch.telemetry.logs;"
        "heavy = ('av', 'cv2', 'numpy', 'sqlalchemy', 'prometheus_client');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_lines_that_are_not_read_are_dropped_and_counted_without_blocking() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb", buffering=0) as taken:
        setup(LogConfig(), "worker", stream=stream)
        words = ["".join(letters) for letters in product("abcdefghij", repeat=3)]
        for word in words:  # a pipe holds 64 KiB, and nobody reads
            logger.info("%s" * 4, *[word * 40] * 4, extra={"camera": word})
        said = taken.read(1 << 20).decode()
        logger.info("read again", extra={"camera": "door"})
        said += taken.read(1 << 20).decode()
    *shown, loss, last = said.splitlines()
    whole = [line for line in shown if any(line.endswith(word * 160) for word in words)]
    assert len(shown) - len(whole) <= 1, "one line at most was torn"
    assert f"{len(words) - len(whole)} log lines were lost here" in loss
    assert last.endswith("worker[door]: read again")
