"""Wheels for tests, built offline with the environment's own hatchling."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path


def build_wheel(project: Path, folder: Path) -> Path:
    """Build the wheel of the project in ``project`` into ``folder``, which holds nothing else."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [wheel] = folder.iterdir()
    return wheel


def unpack(wheel: Path, folder: Path) -> None:
    """What an installer does with a wheel of pure Python that has no scripts."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
