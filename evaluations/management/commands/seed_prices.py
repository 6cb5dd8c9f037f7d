"""``seed_prices``: list prices for the catalogue's models, from the installed price list."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import date
from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from evaluations.models import ModelVersion
from evaluations.services.errors import Refused
from evaluations.services.price_seed import seed_prices


class Command(PilotsCommand):
    help = "Fill list prices of models that the installed price list has under exactly their name. No network."
    name = "seed_prices"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--model", metavar="SLUG", action="append", help="only this model; may be repeated")
        parser.add_argument(
            "--since",
            metavar="DATE",
            help="the day from which prices hold that the list does not date (default: the list's own day)",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")

    def run(self, **options: Any) -> tuple[Any, bool]:
        models = None
        if slugs := options["model"]:
            models = list(ModelVersion.objects.filter(slug__in=slugs))
            for slug in slugs:
                if slug not in {model.slug for model in models}:
                    raise Refused(f"no model {slug!r}", field="model")
        report = seed_prices(
            models=models,
            since=_day(options["since"]),
            dry_run=options["dry_run"],
            by=self.actor,
            at=self.now,
        )
        counted = Counter(model.status for model in report.models)
        return {
            "source": report.source,
            "as_of": report.as_of.isoformat(),
            "rows": report.rows,
            "by_status": dict(counted),
            "models": [asdict(model) for model in report.models],
        }, True


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise Refused(f"{text!r} is no date like 2026-01-31", field="since") from None
