"""Checks the models before they are used, in a separate process: it needs heavy libraries."""

from __future__ import annotations

import subprocess
import sys

from maskwatch.config.schema import Config
from maskwatch.errors import ModelError

_TIMEOUT = 120.0


def check_model(config: Config) -> None:
    """Check that the mask model matches its manifest, and that the face weights are the pinned ones.

    Blocks for about a second: call it in a thread.

    Raises:
        ModelError: they do not match; the message names the file and the mismatch.
    """
    command = [sys.executable, "-m", "maskwatch.worker.model_check", config.model, config.face_weights]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelError(f"the models could not be checked: {error}") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ModelError(lines[-1])
