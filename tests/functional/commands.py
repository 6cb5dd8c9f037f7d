"""How functional tests call a command. Public surface: ``call``, ``Called``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any

from django.core.management import call_command


@dataclass(frozen=True)
class Called:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def call(*arguments: str) -> Called:
    """Run ``manage.py`` with these arguments in this process."""
    out, err = StringIO(), StringIO()
    code = 0
    try:
        call_command(arguments[0], *arguments[1:], stdout=out, stderr=err, no_color=True)
    except SystemExit as end:
        code = int(end.code or 0)
    return Called(code, out.getvalue(), err.getvalue())
