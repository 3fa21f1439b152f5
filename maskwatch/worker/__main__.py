"""`python -m maskwatch.worker --fd N`, started by the supervisor."""

from __future__ import annotations

import os
import sys

from maskwatch.worker.main import main

code = main()
sys.stderr.flush()
# Not `sys.exit`: a thread may hang in a decoder, and would be torn down under it.
os._exit(code)
