"""`python -m maskwatch.worker.model_check MANIFEST WEIGHTS`: check the models ("": the defaults)."""

from __future__ import annotations

import sys
from pathlib import Path

from maskwatch.errors import MaskwatchError
from maskwatch.temporary import exit_code


def main(arguments: list[str]) -> int:
    """Load both models as a worker does; print the error, and return the exit code.

    The code is that of ModelError only if a model itself is wrong.
    """
    # Heavy: they are why this is a process of its own.
    from maskwatch.vision.faces import FaceDetector  # noqa: PLC0415 - see above
    from maskwatch.vision.masks import MaskClassifier  # noqa: PLC0415 - see above

    manifest, weights = (Path(argument) if argument else None for argument in arguments)
    try:
        MaskClassifier(manifest)
        FaceDetector(weights=weights)
    except MaskwatchError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the supervisor reads it
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
