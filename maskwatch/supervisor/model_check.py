"""Checks the models before they are used, in a separate process: it needs heavy libraries."""

from __future__ import annotations

import asyncio
import os
import subprocess

from maskwatch.config.schema import Config
from maskwatch.errors import ModelError, TemporaryError
from maskwatch.supervisor.process import ModuleProcess, describe_exit

_MODULE = "maskwatch.worker.model_check"
_TIMEOUT = 120.0
_POLL_INTERVAL = 0.05
_MAX_TEXT = 64 * 1024
_MAX_POLLS = 40


async def check_model(config: Config) -> None:
    """Check that the mask model matches its manifest, and that the face weights are the pinned ones.

    Raises:
        ModelError: they do not match; the message names the file and the mismatch.
        TemporaryError: they could not be checked now.
    """
    try:
        process = ModuleProcess(_MODULE, config.model, config.face_weights, stderr=subprocess.PIPE)
    except OSError as error:
        raise TemporaryError(f"the models cannot be checked now: {error}") from error
    try:
        text = await asyncio.wait_for(_output_of(process), _TIMEOUT)
    except TimeoutError:
        raise TemporaryError(f"the check of the models took more than {_TIMEOUT:.0f} s") from None
    finally:
        await _close(process)
    _judge(process.returncode, text)


async def _output_of(process: ModuleProcess) -> str:
    """Return the end of what it wrote to standard error, once it has ended."""
    assert process.stderr is not None  # it was started with a pipe
    os.set_blocking(process.stderr.fileno(), False)
    text = b""
    ended = False
    while not ended:
        ended = process.poll() is not None
        text = (text + (process.stderr.read() or b""))[-_MAX_TEXT:]
        if not ended:
            await asyncio.sleep(_POLL_INTERVAL)
    return text.decode(errors="replace").strip()


async def _close(process: ModuleProcess) -> None:
    """End it if it still runs, within a bounded time."""
    assert process.stderr is not None  # it was started with a pipe
    process.stderr.close()
    process.kill()
    for _ in range(_MAX_POLLS):
        if process.poll() is not None:
            return
        await asyncio.sleep(_POLL_INTERVAL)


def _judge(code: int, text: str) -> None:
    if code == 0:
        return
    lines = text.splitlines() or [describe_exit(code)]
    if code == ModelError.exit_code:
        raise ModelError(lines[-1])
    # Only the check itself says that a model is wrong. Killed, or out of memory, it says nothing.
    raise TemporaryError(f"the models could not be checked: {lines[-1]}")
