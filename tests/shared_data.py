"""Where the real reference data lies: beside the project, never copied into it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("PILOTS_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def shared_data(*parts: str) -> Path:
    """The path of a shared data file; skips the test where the data is absent, fails in CI."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        reason = f"reference data {'/'.join(parts)} is not on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason, allow_module_level=True)
    return path
