"""The bundled site for worker processes that a test starts: on the test's own database, with short leases."""

from config.settings import *  # noqa: F403

PILOTS_LEASE_SECONDS = 3
PILOTS_SWEEP_SECONDS = 1
