"""The prices that may apply to an arm's calls. Public surface: ``prices_for``."""

from __future__ import annotations

from django.db.models import Q

from evaluations.models import Endpoint, ModelVersion, Price
from evaluations.pricing import AMOUNTS, PriceRow


def prices_for(model: ModelVersion, endpoint: Endpoint | None, currency: str) -> list[PriceRow]:
    """Contract prices of ``endpoint`` (None: the recorded arm, which has none) and every other price of ``model``.

    Of all days: which one is in force depends on the day of each call (see ``evaluations.pricing``). One query.
    """
    scope = Q(endpoint__isnull=True) if endpoint is None else Q(endpoint__isnull=True) | Q(endpoint=endpoint)
    return [
        PriceRow(
            id=row.pk,
            effective_from=row.effective_from,
            currency=row.currency,
            kind=row.kind,
            above_input_tokens=row.above_input_tokens,
            hours=row.hours,
            service_tier=row.service_tier,
            **{name: getattr(row, name) for name in AMOUNTS},
        )
        for row in Price.objects.filter(scope, model=model, currency=currency).order_by("effective_from", "pk")
    ]
