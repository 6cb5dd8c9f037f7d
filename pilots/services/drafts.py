"""An event before it is stored, and the rules it must meet whatever the history.

Public surface: ``Attachment``, ``EventDraft``, ``check``, ``share_kept``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from evaluations.models import ModelVersion
from evaluations.services.errors import Refused
from pilots.enums import AttachmentKind, EventKind, Reason
from pilots.facts import Event
from pilots.models import PilotEvent

HALF = Decimal("0.5")
# Where an event came from says nothing about what happened.
_BOOKKEEPING = frozenset({"import"})


@dataclass(frozen=True, slots=True)
class Attachment:
    """A reference bound to an event: ``kind:reference``, for example ``incident:INC-4711``."""

    kind: AttachmentKind
    reference: str

    @classmethod
    def parse(cls, text: str, *, field: str = "attachments") -> Attachment:
        """From ``kind:reference``; a bare web address is a url. Raises ``Refused``."""
        text = text.strip()
        if text.lower().startswith(("http://", "https://")):
            return cls(AttachmentKind.URL, text).checked(field)
        kind, colon, reference = text.partition(":")
        if not colon or kind.strip() not in list(AttachmentKind):
            kinds = ", ".join(AttachmentKind)
            raise Refused(f"an attachment is kind:reference with kind in {kinds}; got {text[:80]!r}", field=field)
        return cls(AttachmentKind(kind.strip()), reference.strip()).checked(field)

    def checked(self, field: str = "attachments") -> Attachment:
        """Itself. Raises ``Refused`` for an empty or over-long reference and for a link that is not http or https."""
        if not self.reference.strip():
            raise Refused(f"the attachment of kind {self.kind} refers to nothing", field=field)
        if len(self.reference) > 1000:
            raise Refused("an attachment's reference has at most 1000 characters", field=field)
        if self.kind is AttachmentKind.URL:
            try:
                address = urlsplit(self.reference)
                usable = address.scheme in ("http", "https") and bool(address.hostname)
            except ValueError:
                usable = False
            if not usable:
                raise Refused(f"only http and https links can be attached, not {self.reference[:80]!r}", field=field)
        return self


def attachments_from(given: Iterable[Attachment | str]) -> tuple[Attachment, ...]:
    """Parsed and checked, repeats left out."""
    parsed = (Attachment.parse(item) if isinstance(item, str) else item.checked() for item in given)
    return tuple(dict.fromkeys(parsed))


@dataclass(frozen=True, slots=True)
class EventDraft:
    """What is to be recorded. ``digest`` says what happened: who tells it, and in which words, is not part of it."""

    kind: EventKind
    occurred_at: datetime
    traffic_share: Decimal | None = None  # on the candidate from here on
    reason: Reason | None = None
    to_model: ModelVersion | None = None
    note: str = ""
    attachments: tuple[Attachment, ...] = ()
    corrects: PilotEvent | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        content = [
            self.kind.value,
            self.occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
            None if self.traffic_share is None else f"{self.traffic_share:.4f}",
            self.reason.value if self.reason else "",
            self.to_model.slug if self.to_model else "",
            self.corrects.digest if self.corrects else "",
            {key: value for key, value in self.data.items() if key not in _BOOKKEEPING},
        ]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def as_event(self) -> Event:
        return Event(
            kind=self.kind,
            occurred_at=self.occurred_at,
            digest=self.digest,
            traffic_share=self.traffic_share,
            reason=self.reason,
            to_model=self.to_model.slug if self.to_model else "",
            corrects=self.corrects.digest if self.corrects else "",
            data=self.data,
        )


def check(draft: EventDraft, *, at: datetime) -> None:
    """Raises ``Refused`` naming the rule and the field. What the history allows is the timeline's business."""
    if draft.occurred_at.tzinfo is None:
        raise Refused("the instant needs a time zone", field="occurred_at")
    if draft.occurred_at > at:
        raise Refused("an event in the future cannot be recorded", field="occurred_at")
    share = draft.traffic_share
    if share is not None and not (share.is_finite() and 0 <= share <= 1 and share == round(share, 4)):
        raise Refused("a traffic share lies between 0 and 1, with at most four decimals", field="traffic_share")
    if draft.reason is Reason.UNEXPLAINED:
        raise Refused("'unexplained' is set by the system only: give the reason", field="reason")
    if draft.kind is EventKind.ROLLBACK:
        _check_rollback(draft)
    if draft.kind is EventKind.ALONGSIDE and share is not None and not 0 < share < 1:
        raise Refused("alongside means that both models have a share: between 0 and 1", field="traffic_share")
    if draft.kind is EventKind.SUPERSEDED and draft.to_model is None:
        raise Refused("a move to a third model names that model", field="to_model")
    _check_observed_from(draft, at)


def _check_rollback(draft: EventDraft) -> None:
    if draft.reason is None:
        raise Refused("a rollback needs its reason", field="reason")
    if draft.reason is Reason.OTHER and not draft.note.strip():
        raise Refused("the reason 'other' needs a note", field="note")
    if not draft.attachments:
        raise Refused(
            "a rollback needs at least one attachment: a run, incident, invoice, link or note", field="attachments"
        )
    if draft.traffic_share is not None and draft.traffic_share > HALF:
        raise Refused("after a rollback at most half of the traffic is on the candidate", field="traffic_share")


def _check_observed_from(draft: EventDraft, at: datetime) -> None:
    observed_from = draft.data.get("observed_from")
    if observed_from is not None and date.fromisoformat(observed_from) > at.astimezone(UTC).date():
        raise Refused("observation cannot begin in the future", field="observed_from")


def share_kept(share: Decimal) -> Decimal:
    """The share left on the candidate, from the share that a file or client gives with a rollback.

    After a rollback the incumbent is primary, so that one half or more can only be the part that moved back.
    """
    return 1 - share if share >= HALF else share
