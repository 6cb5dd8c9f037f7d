"""A file that came back: did we give it out, is it as we gave it out, would we still say so? Public surface:
``check_file``, ``Checked``. Nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any

from evaluations.services.errors import Refused
from pilots.enums import ExportState
from pilots.exporters.marks import digest_in
from pilots.models import ExportFile
from pilots.services.export_files import Wish, as_asked


@dataclass(frozen=True, slots=True)
class Checked:
    export: ExportFile | None  # that it is, or was; None: not of this site
    unchanged: bool | None  # byte for byte; None: not of this site
    current: bool | None  # the same question has the same answer today; None: cannot be told
    why: str  # what stands behind the last; ''

    @property
    def sentence(self) -> str:
        if self.export is None:
            return "Not given out by this site, or every mark of it was removed."
        given = f"{self.export.written_at:%Y-%m-%d %H:%M} UTC as {self.export.file_name}"
        changed = "unchanged since" if self.unchanged else "CHANGED since"
        now = {True: "still what this site says", False: "no longer what this site says", None: "not comparable"}
        return f"Given out {given}; {changed}; {now[self.current]}{f': {self.why}' if self.why else ''}."

    def to_document(self) -> dict[str, Any]:
        export = self.export
        return {
            "issued": export is not None,
            "unchanged": self.unchanged,
            "current": self.current,
            "reason": self.why or None,
            "export": None
            if export is None
            else {
                "id": export.pk,
                "key": export.key,
                "file_name": export.file_name,
                "audience": export.for_whom,
                "filters": export.filters,
                "written_at": None if export.written_at is None else export.written_at.isoformat(),
                "written_by": export.written_by.get_username() if export.written_by else None,
                "sha256": export.sha256,
            },
        }


def check_file(*, path: Path, now: datetime) -> Checked:
    """Raises ``Refused`` where there is no such file.

    It is current if its export, asked anew with all that is known now about the day that it is of, is written from the
    same data; the figures of a later day are another file's.
    """
    try:
        with path.open("rb") as file:
            sha256 = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}", field="file") from None
    given = ExportFile.objects.filter(state=ExportState.DONE).select_related("written_by").order_by("-written_at")
    export, unchanged = given.filter(sha256=sha256).first(), True
    if export is None and (digest := digest_in(path)):
        export, unchanged = given.filter(digest=digest).first(), False
    if export is None:
        return Checked(None, None, None, "")
    return Checked(export, unchanged, *_current(export, now))


def _current(export: ExportFile, now: datetime) -> tuple[bool | None, str]:
    if not export.digest:
        return None, "this export says nothing of the data behind it"
    try:
        return _digest(as_asked(export), now) == export.digest, ""
    except Refused as refusal:
        return None, refusal.message


def _digest(wish: Wish, now: datetime) -> str:
    """Of the data behind the same file, had it been asked for now."""
    asked = replace(wish.filters, known_at=now)
    try:
        return replace(wish, filters=replace(asked, present=False), at=now).build().cover.digest
    except Refused as refusal:
        if refusal.field != "as_of":
            raise
        # An export of the present: whatever the day.
        return replace(wish, filters=asked, at=now).build().cover.digest
