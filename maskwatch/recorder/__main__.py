"""`python -m maskwatch.recorder --fd N`, started by the supervisor."""

from __future__ import annotations

import sys

from maskwatch.recorder.main import main

sys.exit(main())
