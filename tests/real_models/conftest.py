"""Only for ``make test-real-models``: the default suite neither installs a model nor collects these tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.real_models.server import RealServer

collect_ignore_glob = [] if os.environ.get("PILOTS_REAL_MODELS") == "1" else ["test_*.py"]


@pytest.fixture(scope="session")
def server() -> Iterator[RealServer]:
    with RealServer() as running:
        yield running
