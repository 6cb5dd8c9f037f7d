"""Everything that can stand in the audit has its words, whichever doors were used before it is read."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_fresh_process_knows_the_words_of_every_action() -> None:
    script = (
        "import django; django.setup(); from evaluations.audit_actions import ACTIONS;"
        "print(*sorted({'pilot.imported', 'endpoint.checked', 'membership.changed', 'export.written'} - set(ACTIONS)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == ""
