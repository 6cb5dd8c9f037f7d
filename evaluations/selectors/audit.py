"""The audit chain as a list. Public surface: ``audit_page``, ``AuditRow``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from evaluations.audit_actions import ACTIONS
from evaluations.enums import AuditSource
from evaluations.models import AuditEvent
from evaluations.selectors.access import Access

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class AuditRow:
    sequence: int
    at: datetime
    actor: str
    source: AuditSource
    action: str  # registered name
    words: str  # what the actor did, to be followed by the object's label
    team: str  # slug; '': not about one team
    object_type: str
    object_id: str
    object_label: str
    details: tuple[tuple[str, str], ...]
    hash: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    rows: tuple[AuditRow, ...]  # newest first
    older: int | None  # sequence to go on before; None: this is the end


def audit_page(access: Access, *, team: str = "", search: str = "", before: int | None = None) -> AuditPage:
    """One page of what the person may see: their teams' rows, and rows of no team for superusers.

    ``search`` looks in actor, action and object label. ``before`` pages backwards by sequence.
    """
    allowed = Q(team__in=list(access.teams().values_list("slug", flat=True)))
    if access.user.is_superuser:
        allowed |= Q(team="")
    events = AuditEvent.objects.filter(allowed)
    if team:
        events = events.filter(team=team)
    if search:
        events = events.filter(
            Q(actor__icontains=search) | Q(action__icontains=search) | Q(object_label__icontains=search)
        )
    if before is not None:
        events = events.filter(sequence__lt=before)
    found = list(events.order_by("-sequence")[: PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    return AuditPage(
        rows=tuple(
            AuditRow(
                sequence=event.sequence,
                at=event.at,
                actor=event.actor,
                source=event.source,
                action=event.action,
                words=ACTIONS.get(event.action, event.action),
                team=event.team,
                object_type=event.object_type,
                object_id=event.object_id,
                object_label=event.object_label,
                details=tuple((key, _text(value)) for key, value in event.data.items()),
                hash=event.hash,
            )
            for event in shown
        ),
        older=shown[-1].sequence if len(found) > PAGE_SIZE else None,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
