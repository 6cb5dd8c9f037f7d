"""The site's own rules for what leaves captured samples. Public surface: ``house_redactor``.

The same on every path: files, pages and the API. A command may add to the rules, never take one away.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from evaluations.capture.redaction import Redactor
from evaluations.conf import setting
from evaluations.services.errors import Refused


def house_redactor(*, names: Path | None = None, patterns: Mapping[str, str] | None = None) -> Redactor:
    """What the settings ``REDACT_*`` say, with a further dictionary of names and further patterns by kind.

    Raises ``Refused`` for a dictionary that cannot be read and for a pattern that is none.
    """
    files = [setting("REDACT_NAMES_FILE"), names]
    known = [name for file in files if file for name in _names(Path(file))]
    try:
        return Redactor(
            region=setting("REDACT_REGION") or None,
            names=known,
            patterns={**setting("REDACT_PATTERNS"), **(patterns or {})},
            # Pseudonyms of ids must be the same at the next import, and mean nothing to whoever lacks the key.
            secret=settings.SECRET_KEY.encode(),
        )
    except ValueError as error:
        raise Refused(str(error), field="pattern") from None


def _names(file: Path) -> list[str]:
    """One a line; blank lines and those that begin with # are left out."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise Refused(f"{file.name}: cannot be opened ({error.strerror})", field="names") from None
    except UnicodeDecodeError:
        raise Refused(f"{file.name}: is not UTF-8", field="names") from None
    return [name for line in lines if (name := line.strip()) and not name.startswith("#")]
