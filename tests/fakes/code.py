"""`python -m tests.fakes.code CODE FD` runs CODE, and writes what it prints to standard error."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.stdout = sys.stderr
    exec(sys.argv[1], {"__name__": "__main__"})
