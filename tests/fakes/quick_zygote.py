"""A zygote that loads no library and so starts quickly, with the fault MASKWATCH_TEST_ZYGOTE.

* "": none.
* `threads`: it has a second thread, as a library could start one.
* `no namespaces`: the system permits it none.
* `mute`: what it forks hangs before it has reported itself.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from maskwatch.worker import zygote
from tests.fakes.brokered import permit_no_namespaces

QUICK_ZYGOTE = "tests.fakes.quick_zygote"
VARIABLE = "MASKWATCH_TEST_ZYGOTE"

if __name__ == "__main__":
    zygote._load = lambda: None
    fault = os.environ.get(VARIABLE, "")
    if fault == "threads":
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    elif fault == "no namespaces":
        permit_no_namespaces()
    elif fault == "mute":
        zygote._introduce = lambda _: time.sleep(600)
    sys.exit(zygote.main(sys.argv[1:]))
