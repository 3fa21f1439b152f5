"""Looks at the models before they are used, in a process of its own: they need heavy libraries."""

from __future__ import annotations

import subprocess
import sys

from maskwatch.config.schema import Config
from maskwatch.errors import ModelError

__all__ = ["check_model"]

_PATIENCE = 120.0


def check_model(config: Config) -> None:
    """Return if the mask model is what its manifest says and the face weights are the pinned ones.

    Blocks for about a second: call it in a thread.

    Raises:
        ModelError: they are not; it says what and where.

    """
    command = [sys.executable, "-m", "maskwatch.worker.model_check", config.model, config.face_weights]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelError(f"the models could not be looked at: {error}") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ModelError(lines[-1])
