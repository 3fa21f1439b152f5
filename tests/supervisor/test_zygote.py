"""The zygote: real ones, which fork workers, are killed, hang and grow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from maskwatch.supervisor.process import ModuleProcess
from tests.fakes.daemon import children_of, module_of
from tests.fakes.quick_daemon import is_alive
from tests.fakes.quick_zygote import VARIABLE
from tests.fakes.waiting import wait_until
from tests.fakes.zygote import CODE, RunningZygote, threads

ROOT = Path(__file__).resolve().parents[2]
_DESCRIBE = """
import ctypes, json, os, signal, sys, threading
address, death = ctypes.c_void_p(), ctypes.c_int()
libc = ctypes.CDLL(None)
libc.prctl(2, ctypes.byref(death), 0, 0, 0)
libc.prctl(40, ctypes.byref(address), 0, 0, 0)
threading.Thread(target=print).start()
descriptors = os.listdir("/proc/self/fd")
print(json.dumps({
    "kept thread id is right":
        ctypes.c_int.from_address(address.value).value == threading.get_native_id(),
    "ends with its parent": death.value == signal.SIGKILL,
    "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "descriptors": sorted([os.readlink(f"/proc/self/fd/{d}").split(":")[0]
                           for d in descriptors if os.path.exists(f"/proc/self/fd/{d}")]),
    "arguments": len(sys.argv),
    "dumpable": libc.prctl(3, 0, 0, 0, 0),
    "user": os.getuid(),
    "namespace": os.getpid() == 1,
}))
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[RunningZygote]:
    """The zygote of the daemon, with all its libraries."""
    with RunningZygote("maskwatch.worker.zygote") as running:
        yield running


def test_a_forked_worker_is_as_one_that_was_started(zygote: RunningZygote) -> None:
    started = ModuleProcess(CODE, _DESCRIBE, "0", stderr=subprocess.PIPE, isolated=True)
    _, output = started.communicate()
    expected = json.loads(output.decode())
    process, text = zygote.run(_DESCRIBE)
    assert process is not None
    found = json.loads(text)
    assert found.pop("descriptors") == ["/dev/null", "pipe", "pipe", "socket"]
    expected.pop("descriptors")
    assert found == expected
    assert process.isolated == started.isolated


def test_a_worker_is_forked_where_the_system_permits_no_namespace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "no namespaces")
    with RunningZygote() as zygote:
        process, text = zygote.run(_DESCRIBE)
        assert process is not None
        assert not process.isolated
        found = json.loads(text)
        assert found["kept thread id is right"]
        assert found["ends with its parent"]
        assert not found["namespace"]


def test_this_process_is_the_parent_and_gets_the_exit_code(zygote: RunningZygote) -> None:
    worker = zygote.sleeping_worker()
    assert worker.pid in children_of(os.getpid())
    assert worker.poll() is None
    worker.kill()
    wait_until(lambda: worker.poll() == -signal.SIGKILL, 10, "it is reaped")
    failed, output = zygote.run("raise SystemExit(7)")
    assert failed is not None
    wait_until(lambda: failed.poll() == 7, 10, output)


def test_the_system_shows_a_worker_s_own_command(zygote: RunningZygote) -> None:
    worker = zygote.sleeping_worker()
    assert module_of(worker.pid) == CODE


def test_the_zygote_has_one_thread_and_keeps_no_descriptor_of_a_worker(zygote: RunningZygote) -> None:
    assert zygote.pid is not None
    zygote.run("")
    assert threads(zygote.pid) == 1
    folder = Path(f"/proc/{zygote.pid}/fd")
    wait_until(lambda: len(list(folder.iterdir())) == 4, 10, "stdin, stdout, stderr and its socket")


def test_what_a_worker_uses_is_loaded_before_it_is_forked(zygote: RunningZygote) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from maskwatch.vision import faces, interpreter, masks\n"
        "import maskwatch.capture.camera, maskwatch.capture.picture, av.subtitles.stream, numpy.ma\n"
        "faces.FaceDetector(); masks.MaskClassifier()\n"
        "print(sorted(set(sys.modules) - before), len(interpreter._spares))"
    )
    _, output = zygote.run(code)
    assert output == "[] 0\n"


def test_a_killed_zygote_is_replaced_while_its_workers_live_on() -> None:
    with RunningZygote() as zygote:
        first, worker = zygote.pid, zygote.sleeping_worker()
        assert first is not None
        os.kill(first, signal.SIGKILL)
        zygote.turn_until(lambda: zygote.ready and zygote.pid != first)
        assert worker.poll() is None
        assert zygote.sleeping_worker().poll() is None
        assert zygote.reasons == ["killed"]


def test_a_zygote_that_has_run_long_enough_is_forgiven_its_failures() -> None:
    with RunningZygote(restart_budget=0, restart_window=0.2, quarantine=0.1) as zygote:
        assert zygote.pid is not None
        os.kill(zygote.pid, signal.SIGKILL)
        zygote.turn_until(lambda: zygote._policy.on_probation)
        zygote.turn_until(lambda: not zygote._policy.on_probation)
        assert zygote.ready


def test_a_zygote_that_hangs_is_killed_and_the_worker_must_be_started_otherwise() -> None:
    with RunningZygote(fork=0.2) as zygote:
        first = zygote.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        assert zygote.run("") == (None, "")
        assert not is_alive(first)
        assert zygote.reasons == ["hung"]


def test_a_zygote_found_dead_when_it_is_to_fork_was_killed_and_did_not_hang() -> None:
    with RunningZygote() as zygote:
        assert zygote.pid is not None
        os.kill(zygote.pid, signal.SIGKILL)
        assert zygote.run("") == (None, "")
        assert zygote.reasons == ["killed"]


def test_a_worker_that_does_not_report_itself_is_killed_and_reaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "mute")
    with RunningZygote(fork=0.5) as zygote:
        others = set(children_of(os.getpid())) - {zygote.pid}
        assert zygote.run("") == (None, "")
        assert set(children_of(os.getpid())) == others


def test_a_zygote_that_has_grown_is_replaced_while_its_workers_live_on() -> None:
    with RunningZygote() as zygote:
        first, worker, usage = zygote.pid, zygote.sleeping_worker(), zygote.usage
        zygote.measured(usage)
        zygote.measured(replace(usage, resident=usage.resident + (32 << 20)))
        assert zygote.pid == first
        zygote.measured(replace(usage, resident=usage.resident + (65 << 20)))
        zygote.turn_until(lambda: zygote.ready and zygote.pid != first)
        assert zygote.reasons == ["memory"]
        assert worker.poll() is None


def test_one_that_is_not_wanted_ends_and_its_workers_live_on() -> None:
    with RunningZygote() as zygote:
        first, worker = zygote.pid, zygote.sleeping_worker()
        assert first is not None
        zygote.tick(wanted=False)
        assert zygote.pid is None
        assert not is_alive(first)
        assert worker.poll() is None
        assert zygote.reasons == []


def test_a_zygote_of_two_threads_forks_nothing_and_is_not_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "threads")
    zygote = RunningZygote()
    zygote.turn_until(lambda: "1 threads" in caplog.text)
    zygote.tick(wanted=True)
    assert zygote.pid is None
    assert not zygote.starting
    assert zygote.run("") == (None, "")
    zygote.event_loop.close()


def test_zygote_and_worker_die_with_the_supervisor() -> None:
    command = [sys.executable, "-m", "tests.fakes.zygote", "600"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        process.kill()
        wait_until(lambda: not any(map(is_alive, pids)), 10, "both are gone")
