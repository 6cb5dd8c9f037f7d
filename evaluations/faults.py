"""Named places where a test may kill this process. Public surface: ``reached``.

``PILOTS_FAULT_AT=before_save:3`` kills the process and its group, as a machine that loses power does, when it comes to
that place for the third time. Without the variable nothing is counted.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_NAME, _, _TIMES = os.environ.get("PILOTS_FAULT_AT", "").partition(":")
_seen: Counter[str] = Counter()


def reached(name: str) -> None:
    """This process is at the place called ``name``."""
    if _NAME and name == _NAME:
        _seen[name] += 1
        if _seen[name] == int(_TIMES or 1):
            # The whole group: a pool would start another child at once, which would be killed in its turn.
            os.killpg(os.getpgrp(), signal.SIGKILL)
