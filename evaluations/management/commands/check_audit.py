"""``check_audit``: whether the audit chain still says what was recorded."""

from __future__ import annotations

import re
from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from evaluations.services.audit import check_chain
from evaluations.services.errors import Refused

_LINK = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


class Command(PilotsCommand):
    help = "Verify the append-only audit chain; exit code 1 if an event was changed, removed or slipped in."
    name = "check_audit"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--noted", metavar="SEQUENCE:HASH", help="a link that an earlier check printed: it must still be there"
        )

    def run(self, **options: Any) -> tuple[Any, bool]:
        chain = check_chain(noted=_link(options["noted"]))
        return chain.to_document(), chain.holds

    def text(self, document: Any) -> str:
        lines = [broken["words"] for broken in document["breaks"]]
        state = "every link holds" if document["ok"] else "the chain is broken"
        last = f"{document['sequence']}:{document['hash']}"
        return "\n".join([*lines, f"{document['events']:,} audit events: {state}. Last link {last}"])


def _link(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    found = _LINK.fullmatch(text)
    if found is None:
        raise Refused(f"{text!r} is not SEQUENCE:HASH as printed by an earlier check", field="noted")
    return int(found[1]), found[2]
