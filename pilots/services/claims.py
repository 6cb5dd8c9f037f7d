"""The vendor-claim ledger. Public surface: ``save_claim``."""

from __future__ import annotations

from datetime import date, datetime

from django.db import transaction
from msgspec import UNSET

from evaluations.models import ModelVersion
from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Refused
from evaluations.services.saving import Maybe, save_row
from pilots.enums import ClaimKind
from pilots.models import Claim

register_actions({"claim.recorded": "recorded the claim", "claim.changed": "changed the claim"})


@transaction.atomic
def save_claim(
    *,
    model: ModelVersion,
    words: str,
    kind: Maybe[ClaimKind | None] = UNSET,
    source: Maybe[str | None] = UNSET,
    stated_on: Maybe[date | None] = UNSET,
    by: Actor,
    at: datetime,
) -> tuple[Claim, bool | None]:
    """Record what was said of ``model``, word for word, or find it again by words, source and day as far as given.

    Without a kind it is about quality, without a day it was stated today. The flag is True for created, False for
    changed, None for unchanged. Raises ``Refused``.
    """
    words = words.strip()
    if not words:
        raise Refused("a claim needs its exact words", field="words")
    if isinstance(stated_on, date) and stated_on > at.date():
        raise Refused("lies in the future", field="stated_on")
    said = {"source": source, "stated_on": stated_on}
    given = {name: value for name, value in said.items() if value is not UNSET and value is not None}
    stored = Claim.objects.filter(model=model, words=words, **given).order_by("pk").first()
    defaults = {"model": model, "words": words, "kind": ClaimKind.QUALITY, "source": "", "stated_on": at.date()}
    saved = save_row(
        Claim,
        key={"pk": None if stored is None else stored.pk},
        values={"kind": kind, **given},
        defaults=defaults,
    )
    if saved.created is not None:
        record(
            by=by,
            at=at,
            action="claim.recorded" if saved.created else "claim.changed",
            object_type="claim",
            object_id=saved.row.pk,
            object_label=str(saved.row),
            data=saved.changes,
        )
    return saved.row, saved.created
