"""The bundled site for worker processes that a test starts: on the test's own database, with short leases."""

import os

from config.settings import *  # noqa: F403
from tests import poison
from tests.workers import LEASE_SECONDS

PILOTS_LEASE_SECONDS = LEASE_SECONDS
if DATABASES["default"]["ENGINE"].endswith("postgresql"):  # noqa: F405
    DATABASES["default"]["OPTIONS"]["options"] = "-c idle_in_transaction_session_timeout=1000"  # noqa: F405
PILOTS_SWEEP_SECONDS = 1

if _poison := os.environ.get("PILOTS_TEST_POISON"):
    poison.install(_poison)
# How long a pool waits for the result of a process that is dead.
CELERY_WORKER_LOST_WAIT = 1
# Room enough on the disks of tests, and soon used up on a small one.
PILOTS_MIN_FREE_MB = 16
