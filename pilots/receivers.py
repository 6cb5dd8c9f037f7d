"""What the engine and the watchers tell us. Each receiver writes into the sender's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.dispatch import receiver

from evaluations.models import DriftAlarm, ModelVersion, Price, ReplayRun
from evaluations.signals import conflict_found, drift_alarmed, model_changed, price_saved, replay_run_concluded
from pilots.enums import NoticeKind
from pilots.models import Pilot, PilotEvent
from pilots.services.forecasts import forecast_of_plan_due, forecasts_of_model_due
from pilots.services.notices import tell_of_drift, tell_of_finding, tell_of_price, tell_of_run
from pilots.services.projection import reproject
from pilots.services.savings_readings import savings_of_model_due, savings_of_plan_due, savings_of_vendor_due


@receiver(replay_run_concluded)
def _run_concluded(run: ReplayRun, at: datetime, **kwargs: object) -> None:
    tell_of_run(run, at=at)
    savings_of_plan_due(run.plan_version.plan_id)
    forecast_of_plan_due(run.plan_version.plan_id)


@receiver(price_saved)
def _price_saved(price: Price, created: bool, at: datetime, **kwargs: object) -> None:
    tell_of_price(price, created=created, at=at)
    savings_of_model_due(price.model)
    forecasts_of_model_due(price.model)


@receiver(model_changed)
def _model_changed(model: ModelVersion, **kwargs: object) -> None:
    """Which switches were forced, and which moves were upgrades, follows from what the catalogue says."""
    concerned = (
        Q(incumbent=model) | Q(candidate=model) | Q(pk__in=PilotEvent.objects.filter(to_model=model).values("pilot"))
    )
    reproject(Pilot.objects.filter(concerned))
    savings_of_vendor_due(model.vendor_id)


@receiver(conflict_found)
def _conflict_found(pilot: Pilot, at: datetime, key: str, words: str, data: dict[str, Any], **kwargs: object) -> None:
    tell_of_finding(NoticeKind.CONFLICT_FOUND, pilot=pilot, at=at, key=key, words=words, data=data)


@receiver(drift_alarmed)
def _drift_alarmed(alarm: DriftAlarm, at: datetime, **kwargs: object) -> None:
    tell_of_drift(alarm, at=at)
